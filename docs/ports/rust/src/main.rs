//! The JSON-lines loop: one request a line on stdin, one reply a line on stdout.

use std::io::{self, BufRead, Write};

use port::json::{quoted, Json};
use port::model::{Model, Slot, RULES};
use port::rules::Rule;

/// What went wrong: the protocol's kind of error, and words for the reader.
type Wrong = (&'static str, String);

struct Session {
    rule: (&'static str, Rule),
    model: Option<Model>,
}

impl Session {
    fn hello(&mut self, asked: Option<&str>) -> Result<String, Wrong> {
        if let Some(asked) = asked {
            let known = RULES.into_iter().find(|(name, _)| *name == asked);
            self.rule = known.ok_or(("unsupported", "this port knows lion, signum and tiger".into()))?;
        }
        let describe = format!(
            r#"{{"name":"worked Rust port","version":"1.0","rule":"{}","rules":["lion","signum","tiger"],"#,
            self.rule.0
        ) + r#""dtypes":["float32","float64"],"decay":"bracket","form":"mul-add","configure":true}"#;
        Ok(format!(r#","protocol":1,"describe":{describe}"#))
    }

    fn model(&mut self) -> Result<&mut Model, Wrong> {
        self.model.as_mut().ok_or(("invalid", "init comes first".into()))
    }

    /// The further keys of the reply, each with a comma before it.
    fn answer(&mut self, request: &Json) -> Result<String, Wrong> {
        let invalid = |wrong| ("invalid", wrong);
        match request.get("method").text().unwrap_or_default() {
            "hello" => return self.hello(request.get("rule").text()),
            "init" => {
                let [params, hyper, momentum] = ["params", "hyper", "momentum"].map(|key| request.get(key));
                self.model = Some(Model::new(self.rule.1, params, hyper, momentum).map_err(invalid)?);
            }
            "configure" => self.model()?.configure(request.get("hyper")).map_err(invalid)?,
            "step" => self.model()?.apply(request.get("grads")).map_err(invalid)?,
            "params" => return Ok(format!(r#","params":{}"#, self.model()?.spell(Slot::Param))),
            "momentum" => return Ok(format!(r#","momentum":{}"#, self.model()?.spell(Slot::Momentum))),
            "bye" => {}
            other => return Err(("unsupported", format!("no method {other}"))),
        }
        Ok(String::new())
    }
}

fn main() -> io::Result<()> {
    let mut session = Session { rule: RULES[0], model: None };
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let request = Json::parse(&line?).map_err(io::Error::other)?;
        let id = request.get("id").whole().unwrap_or(0);
        match session.answer(&request) {
            Ok(rest) => writeln!(out, r#"{{"id":{id}{rest}}}"#)?,
            Err((kind, message)) => {
                writeln!(out, r#"{{"id":{id},"error":{{"kind":"{kind}","message":{}}}}}"#, quoted(&message))?
            }
        }
        out.flush()?; // without this the suite waits for ever
        if request.get("method").text() == Some("bye") {
            break;
        }
    }
    Ok(())
}
