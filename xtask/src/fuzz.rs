//! `cargo xtask fuzz`: every target, or those named, for a while each.
//!
//! The committed cases of a target lie in `fuzz/corpus/TARGET`. They are read first and never
//! written; what the fuzzer discovers goes to `fuzz/target/corpus/TARGET`, and what fails to
//! `fuzz/artifacts/TARGET`.

use std::fs;
use std::path::Path;

use crate::step::{Failure, Outcome, Step};
use crate::tool::CARGO_FUZZ;

const MANIFEST: &str = "fuzz/Cargo.toml";

pub(crate) fn run(args: &[&str]) -> Outcome {
    let request = Request::parse(args)?;
    let manifest = manifest()?;
    let chosen = request.choose(&targets(&manifest))?;
    if chosen.is_empty() {
        println!("no targets in {MANIFEST}");
        return Ok(());
    }

    cargo_fuzz("build of the fuzz targets", "build", &request)?.run()?;
    for target in chosen {
        fuzz(target, &request)?;
    }
    Ok(())
}

/// Whether there is anything to fuzz: a package without targets is one that cargo refuses.
pub(crate) fn has_targets() -> Outcome<bool> {
    Ok(!targets(&manifest()?).is_empty())
}

fn fuzz(target: &str, request: &Request) -> Outcome {
    let found = format!("fuzz/target/corpus/{target}");
    fs::create_dir_all(&found)
        .map_err(|error| Failure::new(format!("cannot create the folder {found}: {error}")))?;
    let kept = format!("fuzz/corpus/{target}");
    let kept = Path::new(&kept).is_dir().then_some(kept);

    cargo_fuzz(format!("fuzz {target}"), "run", request)?
        .args([target, &found])
        .args(&kept)
        .args(["--", "-verbosity=0", "-print_final_stats=1"])
        .args([format!("-max_total_time={}", request.seconds)])
        .run()
        .map_err(|failure| {
            Failure::new(format!(
                "{failure}\nA failing input is in fuzz/artifacts/{target}/. Copied to \
                 fuzz/corpus/{target}/ it comes first in `cargo xtask fuzz {target}`, and the tests \
                 replay it from then on."
            ))
        })
}

/// cargo-fuzz asks for a nightly compiler; a stable one that is told so will do.
fn cargo_fuzz(name: impl Into<String>, subcommand: &str, request: &Request) -> Outcome<Step> {
    Ok(Step::new(name, CARGO_FUZZ.ready()?).env("RUSTC_BOOTSTRAP", "1").args([
        subcommand,
        "--sanitizer",
        request.sanitizer,
    ]))
}

/// What was asked for on the command line.
#[derive(Debug, PartialEq, Eq)]
struct Request<'a> {
    targets: Vec<&'a str>,
    seconds: u32,
    sanitizer: &'a str,
}

impl<'a> Request<'a> {
    fn parse(args: &[&'a str]) -> Outcome<Self> {
        // No sanitizer by default: our code is free of `unsafe`, and it runs six times faster so.
        let mut request = Self { targets: Vec::new(), seconds: 60, sanitizer: "none" };
        let mut args = args.iter();
        while let Some(&arg) = args.next() {
            match arg {
                "--seconds" => {
                    let value = args.next().copied().unwrap_or_default();
                    request.seconds = match value.parse() {
                        // To libFuzzer, 0 means for ever.
                        Ok(seconds) if seconds > 0 => seconds,
                        _ => {
                            let wanted = "--seconds takes a whole number of at least 1";
                            return Err(Failure::new(format!("{wanted}, not `{value}`")));
                        }
                    };
                }
                "--sanitizer" => {
                    let name = args.next().copied();
                    request.sanitizer =
                        name.ok_or_else(|| Failure::new("--sanitizer takes a name, or `none`"))?;
                }
                _ if arg.starts_with('-') => {
                    return Err(Failure::new(format!(
                        "fuzz has no option {arg}; it has --seconds N and --sanitizer NAME"
                    )));
                }
                target => request.targets.push(target),
            }
        }
        Ok(request)
    }

    /// The targets named, or all that are known.
    fn choose(&self, known: &[&'a str]) -> Outcome<Vec<&'a str>> {
        if let Some(unknown) = self.targets.iter().find(|target| !known.contains(target)) {
            return Err(Failure::new(format!(
                "there is no fuzz target `{unknown}`; {MANIFEST} lists: {}",
                known.join(", ")
            )));
        }
        Ok(if self.targets.is_empty() { known.to_vec() } else { self.targets.clone() })
    }
}

fn manifest() -> Outcome<String> {
    fs::read_to_string(MANIFEST)
        .map_err(|error| Failure::new(format!("cannot read {MANIFEST}: {error}")))
}

/// The names of the manifest's `[[bin]]` tables, in its order.
fn targets(manifest: &str) -> Vec<&str> {
    let mut in_bin = false;
    let mut names = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            in_bin = line.starts_with("[[bin]]");
        } else if let (true, Some((key, value))) = (in_bin, line.split_once('='))
            && key.trim() == "name"
        {
            names.extend(value.split('"').nth(1));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_the_bins_of_the_manifest() {
        let manifest = r#"
[package]
name = "lockstore-fuzz"
[[bin]]
name = "records"  # a comment
path = "fuzz_targets/records.rs"
[[bin]]
test = false
name="open"
[dependencies]
name = "no target"
"#;
        assert_eq!(targets(manifest), ["records", "open"]);
        assert!(targets("[package]\nname = \"lockstore-fuzz\"").is_empty());
    }

    #[test]
    fn all_targets_for_a_minute_unless_told_otherwise() {
        let request = Request::parse(&[]).unwrap();
        assert_eq!(request, Request { targets: vec![], seconds: 60, sanitizer: "none" });
        assert_eq!(request.choose(&["open", "records"]).unwrap(), ["open", "records"]);

        let args = ["open", "--seconds", "5", "--sanitizer", "address"];
        let request = Request::parse(&args).unwrap();
        assert_eq!(request, Request { targets: vec!["open"], seconds: 5, sanitizer: "address" });
        assert_eq!(request.choose(&["open", "records"]).unwrap(), ["open"]);
    }

    #[test]
    fn what_cannot_be_fuzzed_is_refused() {
        for args in [
            &["--seconds"][..],
            &["--seconds", "0"],
            &["--seconds", "soon"],
            &["--sanitizer"],
            &["--fast"],
        ] {
            Request::parse(args).unwrap_err();
        }
        let failure = Request::parse(&["opne"]).unwrap().choose(&["open"]).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "there is no fuzz target `opne`; fuzz/Cargo.toml lists: open"
        );
    }
}
