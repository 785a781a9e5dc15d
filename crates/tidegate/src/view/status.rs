//! What is said beside a release: what is not on disk, whether anybody decides, what the service
//! is.

use super::moment::moment;
use crate::lang::Lang;
use tidegate_core::ids::UnixMs;

/// Most edited files that are named.
const EDITS_SHOWN: usize = 5;

/// What is in force and not on disk, and what stops the journal.
pub(crate) fn unwritten(lang: Lang, owed: Option<&str>, problem: Option<&str>) -> Option<String> {
    Some(match (owed, problem) {
        (Some(why), _) => match lang {
            Lang::En => format!("in force, and not yet written to disk: {why}"),
            Lang::Zh => format!("已经生效，还没有写到磁盘：{why}"),
            Lang::Ja => format!("有効だが、まだディスクに書かれていない：{why}"),
        },
        (None, Some(why)) => match lang {
            Lang::En => format!("nothing can be written: {why}"),
            Lang::Zh => format!("什么都写不进去：{why}"),
            Lang::Ja => format!("何も書き込めない：{why}"),
        },
        (None, None) => return None,
    })
}

/// The listener's certificate ends soon, or has ended.
pub(crate) fn certificate_ends(lang: Lang, ends_at: UnixMs, now: UnixMs) -> String {
    let (at, is_over) = (moment(ends_at), now >= ends_at);
    match (lang, is_over) {
        (Lang::En, false) => format!("the certificate of the listener expires on {at}: renew it"),
        (Lang::En, true) => {
            format!("the certificate of the listener expired on {at}: clients refuse it, renew it")
        }
        (Lang::Zh, false) => format!("监听端口的证书将于 {at} 过期：请更换"),
        (Lang::Zh, true) => format!("监听端口的证书已于 {at} 过期，客户端会拒绝：请更换"),
        (Lang::Ja, false) => format!("リスナーの証明書は {at} に期限が切れる：更新すること"),
        (Lang::Ja, true) => {
            format!("リスナーの証明書は {at} に期限が切れた。クライアントは拒否する：更新すること")
        }
    }
}

/// There is no release, and how to start one.
pub(crate) fn no_release(lang: Lang) -> [&'static str; 2] {
    match lang {
        Lang::En => ["no release yet", "start one: `tidegate release start --prompt v2`"],
        Lang::Zh => ["还没有发布", "开始一次：`tidegate release start --prompt v2`"],
        Lang::Ja => ["リリースはまだない", "始める：`tidegate release start --prompt v2`"],
    }
}

/// A release goes on while nobody decides it.
pub(crate) fn unserved(lang: Lang) -> &'static str {
    match lang {
        Lang::En => {
            "no server is running on this project: nothing is decided until `tidegate serve` runs"
        }
        Lang::Zh => "这个项目没有服务在运行：启动 `tidegate serve` 之前不会做任何决定",
        Lang::Ja => {
            "このプロジェクトのサーバーは動いていない：\
             `tidegate serve` を起動するまで何も決まらない"
        }
    }
}

/// A release was started while nobody decides it.
pub(crate) fn waits_for_server(lang: Lang) -> &'static str {
    match lang {
        Lang::En => {
            "no server is running on this project: the release moves once `tidegate serve` runs"
        }
        Lang::Zh => "这个项目没有服务在运行：启动 `tidegate serve` 之后发布才会前进",
        Lang::Ja => {
            "このプロジェクトのサーバーは動いていない：`tidegate serve` を起動するとリリースが進む"
        }
    }
}

/// What one may do with a release that runs.
pub(crate) fn next_steps(lang: Lang) -> &'static str {
    match lang {
        Lang::En => {
            "watch it: `tidegate release status --watch`   take it back: `tidegate rollback`"
        }
        Lang::Zh => "查看进展：`tidegate release status --watch`   回滚：`tidegate rollback`",
        Lang::Ja => "見る：`tidegate release status --watch`   ロールバック：`tidegate rollback`",
    }
}

/// Nobody watches a release any more.
pub(crate) fn no_longer_watched(lang: Lang, change_id: &str) -> String {
    match lang {
        Lang::En => format!("no longer watching; release {change_id} goes on"),
        Lang::Zh => format!("已停止查看；发布 {change_id} 继续进行"),
        Lang::Ja => format!("表示を終了。リリース {change_id} は続く"),
    }
}

/// The stable set has not passed the gate.
pub(crate) fn experimental(lang: Lang) -> &'static str {
    match lang {
        Lang::En => {
            "experimental: the stable version set has not passed the gate yet; run it: \
             `tidegate gate`"
        }
        Lang::Zh => "实验性：稳定版的版本集还没有通过门禁；运行它的用例：`tidegate gate`",
        Lang::Ja => {
            "実験的：安定版のバージョンセットはまだゲートを通っていない。ケースを実行：\
             `tidegate gate`"
        }
    }
}

/// Which files are not served as they are now, and what to do; nothing where all are.
pub(crate) fn edits(lang: Lang, files: &[String]) -> Vec<String> {
    if files.is_empty() {
        return Vec::new();
    }
    let rest = files.len().saturating_sub(EDITS_SHOWN);
    let shown: Vec<&str> = files.iter().take(EDITS_SHOWN).map(String::as_str).collect();
    let more = match (rest, lang) {
        (0, _) => String::new(),
        (_, Lang::En) => format!(" and {rest} more"),
        (_, Lang::Zh) => format!("，还有 {rest} 个"),
        (_, Lang::Ja) => format!("、ほか {rest} 件"),
    };
    let shown = shown.join(", ");
    match lang {
        Lang::En => vec![
            format!("edited since stable's version set was packed, and not served: {shown}{more}"),
            "hint: they are served by a release: `tidegate release start`".to_owned(),
        ],
        Lang::Zh => vec![
            format!("稳定版打包之后改过、尚未上线的文件：{shown}{more}"),
            "提示：通过发布上线：`tidegate release start`".to_owned(),
        ],
        Lang::Ja => vec![
            format!("安定版をパックした後に編集され、まだ使われていない：{shown}{more}"),
            "ヒント：リリースすると使われる：`tidegate release start`".to_owned(),
        ],
    }
}

/// The project's files cannot be compared with what is served.
pub(crate) fn no_set(lang: Lang, why: &str) -> String {
    match lang {
        Lang::En => {
            format!(
                "the project's files do not make a valid version set; stable is served as it was \
                 packed: {why}"
            )
        }
        Lang::Zh => format!("项目文件不构成有效的版本集，稳定版仍按打包时的内容提供服务：{why}"),
        Lang::Ja => format!(
            "プロジェクトのファイルからバージョンセットを作れない。\
             安定版はパック時のまま使われる：{why}"
        ),
    }
}

/// There is no incident.
pub(crate) fn no_incidents(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "no incidents",
        Lang::Zh => "没有事故",
        Lang::Ja => "インシデントはない",
    }
}
