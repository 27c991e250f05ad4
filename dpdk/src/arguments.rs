//! The EAL's command line.

use crate::error::Failure;

/// What decides the defaults.
#[derive(Clone, Debug)]
pub struct Situation {
    /// CPUs the calling thread may run on.
    pub cpus: Vec<usize>,
    /// Free huge pages of any size.
    pub huge_pages: bool,
    /// Whether the machine has a PCI bus, and the first device wanted may be on it.
    pub pci: bool,
}

/// Options that say which cores to use, where memory comes from, and so on; a default is left
/// out where the user gave any of its group.
const CORES: &[&str] = &["-l", "-c", "-s", "-S", "--lcores", "--coremask"];
const MEMORY: &[&str] = &[
    "--no-huge",
    "--in-memory",
    "--huge-dir",
    "--huge-unlink",
    "--file-prefix",
    "--proc-type",
    "--legacy-mem",
    "--single-file-segments",
    "--socket-mem",
];
const AMOUNT: &[&str] = &["-m", "--socket-mem", "--socket-limit", "--proc-type"];
const PCI: &[&str] = &["--no-pci", "-a", "--allow", "-b", "--block", "-w", "--pci-whitelist"];

/// Megabytes without huge pages; touched only as far as used.
const MEGABYTES: &str = "512";

/// Splits like a shell would: blanks, quotes, backslashes.
pub fn split(text: &str) -> Result<Vec<String>, Failure> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, Some(q)) if c == q => quote = None,
            ('\\', None | Some('"')) => match chars.next() {
                Some(next) => word.get_or_insert_default().push(next),
                None => return Err(Failure::new("EAL arguments end in a backslash")),
            },
            (c, None) if c.is_ascii_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(Failure::new("EAL arguments have a quote that is not closed"));
    }
    words.extend(word);
    Ok(words)
}

/// Refuses what would end the program or be taken for the program's own arguments.
pub fn check(words: &[String]) -> Result<(), Failure> {
    let mut value_may_follow = false;
    for word in words {
        let refused = |why: &str| Err(Failure::new(format!("EAL argument \"{word}\": {why}")));
        let help = word.len() >= 3 && "--help".starts_with(word.as_str());
        if help || (word.starts_with("-h") && !word.starts_with("--")) {
            return refused("prints a text and ends the program");
        }
        if word == "--" || word == "-" {
            return refused("the EAL's arguments end there");
        }
        if word.contains('\0') {
            return refused("holds a NUL");
        }
        if !word.starts_with('-') && !value_may_follow {
            return refused("neither an option nor an option's value");
        }
        value_may_follow = word.starts_with('-') && !word.contains('=');
    }
    check_numbers(words)
}

/// The EAL takes what is not a number here for 0, and then has no memory.
fn check_numbers(words: &[String]) -> Result<(), Failure> {
    for (index, word) in words.iter().enumerate() {
        let Some(option) = ["-m", "-n", "-r"].into_iter().find(|o| word.starts_with(o)) else {
            continue;
        };
        let value = match &word[option.len()..] {
            "" => words.get(index + 1).map_or("", String::as_str),
            attached => attached,
        };
        if !value.parse::<u32>().is_ok_and(|n| n > 0) {
            return Err(Failure::new(format!("EAL argument \"{option} {value}\": not a number")));
        }
    }
    Ok(())
}

fn has(words: &[String], group: &[&str]) -> bool {
    words.iter().any(|word| {
        let option = word.split('=').next().unwrap_or(word);
        group.iter().any(|g| {
            // "-l0-3" is "-l 0-3".
            option == *g || (g.len() == 2 && word.starts_with(g) && !word.starts_with("--"))
        })
    })
}

/// The whole command line: the user's words, then defaults for what they leave open.
pub fn complete(user: Vec<String>, situation: &Situation) -> Vec<String> {
    let mut words = vec!["libpcap".to_owned()];
    let given = |group| has(&user, group);
    let mut defaults: Vec<String> = Vec::new();
    if !given(CORES) {
        // One lcore that may run on all CPUs: no worker threads.
        let cpus: Vec<_> = situation.cpus.iter().map(ToString::to_string).collect();
        defaults.extend(["--lcores".into(), format!("0@({})", cpus.join(","))]);
    }
    if !given(MEMORY) {
        if situation.huge_pages {
            defaults.push("--in-memory".into());
        } else {
            defaults.extend(["--no-huge".into(), "--no-shconf".into()]);
        }
    }
    let no_huge = defaults.iter().chain(&user).any(|word| word == "--no-huge");
    if no_huge && !given(AMOUNT) {
        defaults.extend(["-m".into(), MEGABYTES.into()]);
    }
    if !situation.pci && !given(PCI) {
        defaults.push("--no-pci".into());
    }
    if !given(&["--telemetry", "--no-telemetry"]) {
        defaults.push("--no-telemetry".into());
    }
    words.extend(user);
    words.extend(defaults);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        split(text).unwrap()
    }

    #[test]
    fn splitting() {
        assert_eq!(
            words("  -l 0-3 --vdev='net_null0,size=64' a\\ b \"c d\" '' "),
            ["-l", "0-3", "--vdev=net_null0,size=64", "a b", "c d", ""]
        );
        assert!(split("'x").is_err());
        assert!(split("x\\").is_err());
    }

    #[test]
    fn dangerous_words() {
        for text in [
            "-h",
            "--help",
            "--he",
            "--h",
            "-hx",
            "-- x",
            "x",
            "--vdev=a b",
            "-",
            "-m abc",
            "-m0",
            "-n",
        ] {
            assert!(check(&words(text)).is_err(), "{text}");
        }
        check(&words("-m 64 -n4 -l 0 --vdev net_null0 --log-level=8 --huge-dir /x -d/a.so"))
            .unwrap();
    }

    #[test]
    fn defaults_fill_gaps() {
        let bare = Situation { cpus: vec![0, 2], huge_pages: false, pci: false };
        let line = complete(Vec::new(), &bare).join(" ");
        assert_eq!(
            line,
            "libpcap --lcores 0@(0,2) --no-huge --no-shconf -m 512 --no-pci --no-telemetry"
        );
        let huge = Situation { huge_pages: true, pci: true, ..bare.clone() };
        let line = complete(words("-l1"), &huge).join(" ");
        assert_eq!(line, "libpcap -l1 --in-memory --no-telemetry");
        let line = complete(words("--no-huge -a 0000:01:00.0 -c 1"), &bare).join(" ");
        assert_eq!(line, "libpcap --no-huge -a 0000:01:00.0 -c 1 -m 512 --no-telemetry");
    }
}
