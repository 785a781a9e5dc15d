use super::*;
use std::fs;

struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    fn new(files: &[(&str, &[u8])]) -> Project {
        let project = Project { folder: tempfile::tempdir().unwrap() };
        for (path, bytes) in files {
            let path = project.root().join("knowledge").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        fs::create_dir_all(project.root().join("knowledge")).unwrap();
        project
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    fn build(&self, version: &str, skip_unreadable: bool) -> Result<Built, IndexError> {
        let root = self.root();
        let folder = Folder::of(root, Path::new("knowledge"))?;
        let build = Build { root, version, chunk_chars: 100, skip_unreadable, embeddings: None };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(build.run(folder, || {}))
    }

    #[track_caller]
    fn check_refused(&self, expected: &str) {
        let error = self.build("v1", false).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        // Nothing is left that could be taken for an index.
        let left = fs::read_dir(self.root().join(FOLDER)).into_iter().flatten().count();
        assert_eq!(left, 0);
        assert!(list(self.root()).unwrap().is_empty());
    }
}

#[test]
fn line_ends_and_marks_make_no_other_index() {
    let unix = Project::new(&[("a.md", b"# One\nfirst\n\nsecond\n"), ("sub/b.txt", b"third")]);
    let windows = Project::new(&[
        ("a.md", b"\xEF\xBB\xBF# One\r\nfirst\r\n\r\nsecond\r\n"),
        ("sub/b.txt", b"third"),
        (".hidden", b"\xff"),
    ]);
    let [one, two] = [unix, windows].map(|project| project.build("v1", false).unwrap());
    assert_eq!(one.about, two.about);
    assert!(one.is_new);
    assert_eq!((one.about.documents, one.about.chunks), (2, 2));
}

#[test]
fn what_is_no_text_is_named() {
    let good: (&str, &[u8]) = ("a.md", b"text");
    Project::new(&[good, ("b.md", b"one\ntwo \xe9\n")])
        .check_refused("1 file cannot be indexed: b.md: it is not UTF-8 in line 2");
    Project::new(&[good, ("logo.png", b"\x89PNG\r\n\x1a\n\0\0")])
        .check_refused("logo.png: it is binary");
    Project::new(&[good, ("c.txt", b"\xff\xfea\0")]).check_refused("c.txt: it is UTF-16");
    let many: Vec<(String, Vec<u8>)> = (0..9).map(|n| (format!("{n}.bin"), vec![0])).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|(p, b)| (p.as_str(), b.as_slice())).collect();
    Project::new(&many).check_refused("9 files cannot be indexed");
    Project::new(&many)
        .check_refused("4.bin: it is binary: byte 0 is no character of a text; and 4 more");
    let project = Project::new(&[good, ("logo.png", b"\0")]);
    let built = project.build("v1", true).unwrap();
    assert_eq!(built.about.documents, 1);
    assert_eq!(built.skipped[0].path, "logo.png");
}

#[test]
fn an_empty_folder_makes_no_index() {
    Project::new(&[]).check_refused("knowledge has no text");
    Project::new(&[("blank.md", b" \n\n")]).check_refused("knowledge has no text");
}

#[test]
fn a_large_file_is_named() {
    let project = Project::new(&[("a.md", b"text")]);
    let large = fs::File::create(project.root().join("knowledge/large.txt")).unwrap();
    large.set_len(17 * 1024 * 1024).unwrap();
    project.check_refused("large.txt is larger than the 16777216 bytes allowed");
}

#[cfg(unix)]
#[test]
fn no_link_leads_out_and_no_document_is_there_twice() {
    use std::os::unix::fs::symlink;
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret.md"), "secret").unwrap();
    let linked = |to: &Path, name: &str| {
        let project = Project::new(&[("a.md", b"text")]);
        symlink(to, project.root().join("knowledge").join(name)).unwrap();
        project
    };
    linked(&outside.path().join("secret.md"), "b.md").check_refused("leads out of the project");
    linked(outside.path(), "folder").check_refused("leads out of the project");
    linked(Path::new("."), "again").check_refused("again");
    linked(Path::new("a.md"), "b.md").check_refused("b.md: it is the same file as a.md");
    linked(Path::new("gone.md"), "b.md").check_refused("b.md does not exist");
    Project::new(&[("Rules.md", b"one"), ("rules.md", b"two")])
        .check_refused("rules.md: its name is that of Rules.md");
}

#[test]
fn a_version_keeps_its_content() {
    let project = Project::new(&[("a.md", b"one")]);
    assert!(project.build("v1", false).unwrap().is_new);
    assert!(!project.build("v1", false).unwrap().is_new);
    fs::write(project.root().join("knowledge/a.md"), "two").unwrap();
    let error = project.build("v1", false).unwrap_err().to_string();
    assert!(error.contains("index v1 is built already from other content"), "{error}");
    assert!(project.build("v2", false).unwrap().is_new);
    let known: Vec<String> = list(project.root()).unwrap().into_iter().map(|(v, _)| v).collect();
    assert_eq!(known, ["v1", "v2"]);
    let error = of(project.root(), "v3").unwrap_err().to_string();
    assert_eq!(error, "index v3 is not built in this project");
    assert!(of(project.root(), "../v1").is_err());
    assert!(project.build("../v1", false).is_err());
}
