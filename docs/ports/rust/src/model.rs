//! Named tensors under one rule, read from and written to the suite's JSON.

use crate::json::{quoted, Json};
use crate::real::Real;
use crate::rules::{role_of, update, Hyper, Role, Rule, Tensor};

pub const RULES: [(&str, Rule); 3] = [("lion", Rule::Lion), ("signum", Rule::Signum), ("tiger", Rule::Tiger)];
const ROLES: [(&str, Role); 4] =
    [("matrix", Role::Matrix), ("embedding", Role::Embedding), ("bias", Role::Bias), ("scale", Role::Scale)];

#[derive(Clone, Copy)]
pub enum Slot {
    Param,
    Momentum,
}

/// A tensor of some dtype, as the JSON sees it.
trait Spelled {
    fn set(&mut self, param: &Json) -> Result<(), String>;
    fn step(&mut self, rule: Rule, hyper: &Hyper, grad: &Json, step: u64) -> Result<(), String>;
    fn dtype(&self) -> &'static str;
    fn digits(&self, slot: Slot) -> Vec<String>;
}

impl<R: Real> Spelled for Tensor<R> {
    fn set(&mut self, param: &Json) -> Result<(), String> {
        self.param = elements(param, self.param.len())?;
        Ok(())
    }

    fn step(&mut self, rule: Rule, hyper: &Hyper, grad: &Json, step: u64) -> Result<(), String> {
        let grad = elements::<R>(grad, self.param.len())?;
        update(rule, hyper, self, &grad, step);
        Ok(())
    }

    fn dtype(&self) -> &'static str {
        R::DTYPE
    }

    fn digits(&self, slot: Slot) -> Vec<String> {
        let values = match slot {
            Slot::Param => &self.param,
            Slot::Momentum => &self.momentum,
        };
        values.iter().map(|x| format!("{:0width$x}", x.pattern(), width = R::DIGITS)).collect()
    }
}

pub struct Model {
    rule: Rule,
    hyper: Hyper,
    step: u64,
    tensors: Vec<(String, Vec<u64>, Box<dyn Spelled>)>,
}

impl Model {
    /// `momentum` may be null: zeros.
    pub fn new(rule: Rule, params: &Json, hyper: &Json, momentum: &Json) -> Result<Model, String> {
        let mut tensors = Vec::new();
        for (name, param) in params.members() {
            let shape: Vec<u64> = param.get("shape").items().iter().filter_map(Json::whole).collect();
            let (role, momentum) = (role_in(hyper.get("roles"), name), momentum.get(name));
            let tensor = match param.get("dtype").text() {
                Some("float32") => tensor::<f32>(&shape, role, param, momentum)?,
                Some("float64") => tensor::<f64>(&shape, role, param, momentum)?,
                _ => return Err("only float32 and float64 are known".into()),
            };
            tensors.push((name.clone(), shape, tensor));
        }
        Ok(Model { rule, hyper: read_hyper(hyper)?, step: 0, tensors })
    }

    pub fn configure(&mut self, hyper: &Json) -> Result<(), String> {
        self.hyper = read_hyper(hyper)?;
        Ok(())
    }

    /// Sets the parameters that are in `params`; the others stay.
    pub fn set(&mut self, params: &Json) -> Result<(), String> {
        let named = self.tensors.iter_mut().filter(|(name, ..)| !params.get(name).is_null());
        named.into_iter().try_for_each(|(name, _, tensor)| tensor.set(params.get(name)))
    }

    pub fn apply(&mut self, grads: &Json) -> Result<(), String> {
        for (name, _, tensor) in &mut self.tensors {
            let done = tensor.step(self.rule, &self.hyper, grads.get(name), self.step);
            done.map_err(|wrong| format!("the gradient of {name}: {wrong}"))?;
        }
        self.step += 1;
        Ok(())
    }

    /// The hexadecimal digits of each element, by name.
    pub fn digits(&self, slot: Slot) -> impl Iterator<Item = (&str, Vec<String>)> {
        self.tensors.iter().map(move |(name, _, tensor)| (name.as_str(), tensor.digits(slot)))
    }

    /// {"name": {"dtype": …, "shape": …, "data": …}, …}
    pub fn spell(&self, slot: Slot) -> String {
        let spelled = self.tensors.iter().map(|(name, shape, tensor)| {
            let (name, data) = (quoted(name), tensor.digits(slot).concat());
            format!(r#"{name}:{{"dtype":"{}","shape":{shape:?},"data":"{data}"}}"#, tensor.dtype())
        });
        format!("{{{}}}", spelled.collect::<Vec<_>>().join(","))
    }
}

fn tensor<R: Real + 'static>(
    shape: &[u64],
    role: Role,
    param: &Json,
    momentum: &Json,
) -> Result<Box<dyn Spelled>, String> {
    let size = shape.iter().product::<u64>() as usize;
    let row = shape.last().map_or(1, |&n| n as usize);
    let momentum = if momentum.is_null() { vec![R::of(0.0); size] } else { elements(momentum, size)? };
    Ok(Box::new(Tensor { role, row, param: elements(param, size)?, momentum }))
}

/// The elements of an array whose shape and dtype are known.
fn elements<R: Real>(array: &Json, size: usize) -> Result<Vec<R>, String> {
    let data = array.get("data").text().unwrap_or_default();
    if array.get("dtype").text() != Some(R::DTYPE) || !data.is_ascii() || data.len() != size * R::DIGITS {
        return Err(format!("{size} elements of {} are wanted", R::DTYPE));
    }
    let digits = (0..size).map(|i| &data[i * R::DIGITS..(i + 1) * R::DIGITS]);
    digits.map(|d| pattern(d).map(R::from_pattern).ok_or(format!("{d} is not hexadecimal"))).collect()
}

pub fn pattern(digits: &str) -> Option<u64> {
    u64::from_str_radix(digits, 16).ok()
}

fn role_in(roles: &Json, name: &str) -> Role {
    let asked = roles.get(name).text();
    ROLES.iter().find(|(role, _)| asked == Some(role)).map_or_else(|| role_of(name), |&(_, role)| role)
}

fn double(value: &Json) -> Option<f64> {
    value.text().filter(|text| text.len() == 16).and_then(pattern).map(f64::from_bits)
}

fn read_hyper(hyper: &Json) -> Result<Hyper, String> {
    let number = |key: &str| double(hyper.get(key)).ok_or(format!("{key} is missing"));
    let (beta1, beta2) = match hyper.get("betas").items() {
        [first, second] => double(first).zip(double(second)).ok_or("betas are two numbers")?,
        _ => (number("beta")?, 0.0),
    };
    let point = |at: &Json| match at.items() {
        [step, factor] => step.whole().zip(double(factor)),
        _ => None,
    };
    Ok(Hyper {
        lr: number("lr")?,
        beta1,
        beta2,
        weight_decay: number("weight_decay")?,
        shrink: number("shrink").unwrap_or(0.99),
        accumulation_steps: hyper.get("accumulation_steps").whole().unwrap_or(1).max(1),
        schedule: hyper.get("schedule").items().iter().map(point).collect::<Option<_>>().ok_or("bad schedule")?,
    })
}
