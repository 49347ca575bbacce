//! Runs the vector files of the folder in SIGNOPT_VECTORS: `signopt vectors copy vectors`, then
//! `SIGNOPT_VECTORS=$PWD/vectors cargo test`.

use std::{env, fs, path::Path};

use port::json::Json;
use port::model::{pattern, Model, Slot, RULES};
use port::rules::Rule;

/// The place of a number among those of its format, counted from zero: the order of values, with -0 equal to +0.
/// None for NaN.
fn rank(digits: &str) -> Option<i64> {
    let (bits, width) = (pattern(digits)?, 4 * digits.len() as u32);
    let magnitude = bits & (u64::MAX >> (65 - width));
    let infinity = if width == 32 { 0x7f80_0000 } else { 0x7ff0_0000_0000_0000 };
    let place = magnitude as i64;
    (magnitude <= infinity).then_some(if bits == magnitude { place } else { -place })
}

/// One alternative: "nan", a pattern, or "first..last" by value, ends included.
fn admits(alternative: &str, digits: &str) -> bool {
    match (alternative, alternative.split_once("..")) {
        ("nan", _) => rank(digits).is_none(),
        (_, None) => alternative == digits,
        (_, Some((first, last))) => rank(digits).is_some_and(|at| rank(first) <= Some(at) && Some(at) <= rank(last)),
    }
}

fn check_slot(model: &Model, slot: Slot, outcomes: &Json, place: &str) -> Result<(), String> {
    for (name, digits) in model.digits(slot) {
        let expected = outcomes.get(name).items();
        assert_eq!(expected.len(), digits.len(), "{place} {name}");
        for (i, (digits, alternatives)) in digits.iter().zip(expected).enumerate() {
            let allowed: Vec<_> = alternatives.items().iter().filter_map(Json::text).collect();
            if !allowed.iter().any(|alternative| admits(alternative, digits)) {
                return Err(format!("{place} {name}[{i}] is {digits}, allowed are {}", allowed.join(" or ")));
            }
        }
    }
    Ok(())
}

fn check_vector(rule: Rule, vector: &Json) -> Result<(), String> {
    let mut model = Model::new(rule, vector.get("params"), vector.get("hyper"), vector.get("momentum"))?;
    for (i, step) in vector.get("steps").items().iter().enumerate() {
        if !step.get("hyper").is_null() {
            model.configure(step.get("hyper"))?;
        }
        model.set(step.get("set"))?;
        model.apply(step.get("grads"))?;
        check_slot(&model, Slot::Param, step.get("params"), &format!("step {i}: params"))?;
        check_slot(&model, Slot::Momentum, step.get("momentum"), &format!("step {i}: momentum"))?;
    }
    Ok(())
}

/// Whether this port is what a vector requires; a requirement that it does not know stops the run.
fn applies(vector: &Json) -> bool {
    vector.get("requires").members().iter().all(|(key, value)| match key.as_str() {
        "nan" => value.text() == Some("propagate"),
        "subnormals" => value.text() == Some("keep"),
        "roles" => value.text() == Some("names"),
        other => panic!("a vector requires {other}, which this test does not know"),
    })
}

/// What failed in one file, and how many vectors were skipped.
fn check_file(path: &Path) -> (Vec<String>, usize) {
    let file = Json::parse(&fs::read_to_string(path).unwrap()).unwrap();
    let (_, rule) = RULES.into_iter().find(|(name, _)| file.get("rule").text() == Some(name)).expect("a known rule");
    let vectors = file.get("vectors").items();
    assert_eq!(file.get("count").whole(), Some(vectors.len() as u64), "{path:?} is not whole");
    assert!(check_vector(rule, file.get("canary")).is_err(), "the canary of {path:?} is wrong on purpose, and passes");
    let (ours, others): (Vec<_>, Vec<_>) = vectors.iter().partition(|vector| applies(vector));
    let wrong = |vector: &&Json| Some(format!("{}: {}", vector.get("id").text()?, check_vector(rule, vector).err()?));
    (ours.iter().filter_map(wrong).collect(), others.len())
}

#[test]
fn vectors() {
    let folder = env::var("SIGNOPT_VECTORS").unwrap_or("vectors".into());
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{folder}: {e} (signopt vectors copy {folder})"));
    let paths = entries.map(|entry| entry.unwrap().path());
    let wide = |path: &Path| ["-float32.json", "-float64.json"].iter().any(|end| path.to_string_lossy().ends_with(end));
    let known =
        |path: &Path| RULES.iter().any(|(rule, _)| path.file_name().unwrap().to_string_lossy().starts_with(rule));
    let files: Vec<_> = paths.filter(|path| wide(path) && known(path)).collect();
    assert!(!files.is_empty(), "no vectors in {folder}");
    let (failed, skipped): (Vec<_>, Vec<_>) = files.iter().map(|path| check_file(path)).unzip();
    println!("{} files, {} vectors skipped", files.len(), skipped.iter().sum::<usize>());
    assert!(failed.concat().is_empty(), "{}", failed.concat().join("\n"));
}
