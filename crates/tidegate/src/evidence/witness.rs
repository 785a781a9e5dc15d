//! Holding a pack against the journal of the project it lies in. A pack that was rewritten as a
//! whole verifies by itself; only the digest in the journal's `PackWritten` entry shows it.

use super::verify::{JournalCheck, VerifyOutcome};
use crate::store::{Access, Journal as _, Store, StoreError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tidegate_core::evidence::VerifyProblem;
use tidegate_core::ids::Digest;
use tidegate_core::journal::Event;

/// How long the entry of a pack may come after the pack, before the pack counts as rewritten.
const ENTRY_WAIT: Duration = Duration::from_secs(2);
/// Between two looks at the journal.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

impl VerifyOutcome {
    /// Compares the manifest with the journal of the project that the pack lies in, if it does; a
    /// difference is a problem, a journal that is not at hand is none.
    pub(crate) fn compare_with_journal(&mut self, pack: &Path) {
        let began = Instant::now();
        let mut check = self.journal_check(pack);
        // A server writes a pack, then its entry: between the two the pack is newer than the
        // journal, and was not changed.
        while matches!(check, JournalCheck::Different { .. }) && began.elapsed() < ENTRY_WAIT {
            std::thread::sleep(LOOK_AGAIN);
            check = self.journal_check(pack);
        }
        if let JournalCheck::Different { project } = &check {
            let detail = format!(
                "the journal of {} holds another digest for this release: the pack was rewritten",
                project.display()
            );
            self.problems.push(VerifyProblem::Manifest { detail });
        }
        self.journal = check;
    }

    fn journal_check(&self, pack: &Path) -> JournalCheck {
        let not_compared = |why: String| JournalCheck::NotCompared { why };
        if self.change_id.is_empty() {
            return not_compared("the manifest cannot be read".to_owned());
        }
        let Some(project) = project_of(pack) else {
            return not_compared("the pack lies in no project with a `.tidegate/`".to_owned());
        };
        let digests = match digests(&project, &self.change_id) {
            Ok(digests) => digests,
            Err(error) => return not_compared(error.to_string()),
        };
        match digests.iter().rposition(|digest| *digest == self.manifest) {
            Some(last) if last + 1 == digests.len() => JournalCheck::Same { project },
            Some(_) => JournalCheck::Replaced { project },
            None if digests.is_empty() => not_compared(format!(
                "the journal of {} has no pack of this release",
                project.display()
            )),
            None => JournalCheck::Different { project },
        }
    }
}

/// The nearest folder at or above the pack that has a state.
fn project_of(pack: &Path) -> Option<PathBuf> {
    let pack = pack.canonicalize().ok()?;
    pack.ancestors().find(|folder| Store::exists(folder)).map(Path::to_owned)
}

/// The manifests of the packs written of a release, in order.
fn digests(project: &Path, change_id: &str) -> Result<Vec<Digest>, StoreError> {
    let entries = Store::open(project, Access::Read)?.journal(1)?;
    let of_release = |event: Event| {
        let Event::PackWritten { change_id: id, path: _, manifest } = event else { return None };
        (id.as_str() == change_id).then_some(manifest)
    };
    Ok(entries.iter().filter_map(|entry| of_release(entry.event().ok()?)).collect())
}
