//! Lion, Signum and Tiger on one tensor: the library under test. Everything else here is glue.
//!
//! Coefficients are formed in double and rounded once. Rust never contracts `a * b + c`, so the bits are the same everywhere.

use crate::real::Real;

#[derive(Clone, Copy, PartialEq)]
pub enum Rule {
    Lion,
    Signum,
    Tiger,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Role {
    Matrix,
    Embedding,
    Bias,
    Scale,
}

/// Signum and Tiger use `beta1`. A schedule is points (micro-step, factor) in rising order.
#[derive(Default)]
pub struct Hyper {
    pub lr: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub weight_decay: f64,
    pub shrink: f64,
    pub accumulation_steps: u64,
    pub schedule: Vec<(u64, f64)>,
}

pub struct Tensor<R> {
    pub role: Role,
    /// Length of the last axis.
    pub row: usize,
    pub param: Vec<R>,
    pub momentum: Vec<R>,
}

/// One update in place. `step` counts micro-steps from 0 and matters to Tiger only.
pub fn update<R: Real>(rule: Rule, hyper: &Hyper, tensor: &mut Tensor<R>, grad: &[R], step: u64) {
    match rule {
        Rule::Lion => lion(hyper, tensor, grad),
        Rule::Signum => signum(hyper, tensor, grad),
        Rule::Tiger => tiger(hyper, tensor, grad, step),
    }
}

fn lion<R: Real>(hyper: &Hyper, tensor: &mut Tensor<R>, grad: &[R]) {
    let (b1, a1) = (R::of(hyper.beta1), R::of(1.0 - hyper.beta1));
    let (b2, a2) = (R::of(hyper.beta2), R::of(1.0 - hyper.beta2));
    let (lr, decay) = (R::of(hyper.lr), R::of(hyper.weight_decay));
    for ((p, m), &g) in tensor.param.iter_mut().zip(&mut tensor.momentum).zip(grad) {
        let c = b1 * *m + a1 * g;
        *p = *p - lr * (c.sign() + decay * *p);
        *m = b2 * *m + a2 * g;
    }
}

fn signum<R: Real>(hyper: &Hyper, tensor: &mut Tensor<R>, grad: &[R]) {
    average(&mut tensor.momentum, grad, R::of(hyper.beta1), R::of(1.0 - hyper.beta1));
    walk(&mut tensor.param, &tensor.momentum, R::of(hyper.lr), R::of(hyper.weight_decay));
}

fn tiger<R: Real>(hyper: &Hyper, tensor: &mut Tensor<R>, grad: &[R], step: u64) {
    if grad.iter().any(|g| g.widen().is_nan()) {
        let centre = R::of(if tensor.role == Role::Scale { 1.0 } else { 0.0 });
        tensor.param.iter_mut().for_each(|p| *p = (*p - centre) * R::of(hyper.shrink) + centre);
        return;
    }
    let k = hyper.accumulation_steps;
    let b1 = if step % k == 0 { hyper.beta1 } else { 1.0 };
    average(&mut tensor.momentum, grad, R::of(b1), R::of((1.0 - hyper.beta1) / k as f64));
    if (step + 1) % k != 0 {
        return;
    }
    let lr = hyper.lr * schedule_factor(&hyper.schedule, step);
    if matches!(tensor.role, Role::Bias | Role::Scale) {
        walk(&mut tensor.param, &tensor.momentum, R::of(0.5 * lr), R::of(0.0));
        return;
    }
    let length = if tensor.role == Role::Embedding { tensor.row } else { tensor.param.len() };
    let rows = tensor.param.chunks_mut(length.max(1));
    for (p, m) in rows.zip(tensor.momentum.chunks(length.max(1))) {
        let rate = R::of(lr) * rms(p);
        walk(p, m, rate, R::of(hyper.weight_decay));
    }
}

fn average<R: Real>(momentum: &mut [R], grad: &[R], b: R, a: R) {
    for (m, &g) in momentum.iter_mut().zip(grad) {
        *m = b * *m + a * g;
    }
}

fn walk<R: Real>(param: &mut [R], momentum: &[R], rate: R, decay: R) {
    for (p, &m) in param.iter_mut().zip(momentum) {
        *p = *p - rate * (m.sign() + decay * *p);
    }
}

fn rms<R: Real>(values: &[R]) -> R {
    let sum: f64 = values.iter().map(|x| x.widen() * x.widen()).sum();
    R::of((sum / values.len() as f64).sqrt())
}

fn schedule_factor(points: &[(u64, f64)], step: u64) -> f64 {
    let Some(&(first, factor)) = points.first() else { return 1.0 };
    let (mut t0, mut f0) = if first == 0 { (0, factor) } else { (0, 0.0) };
    for &(t1, f1) in points {
        if step < t1 {
            return f0 + (f1 - f0) * (step - t0) as f64 / (t1 - t0) as f64;
        }
        (t0, f0) = (t1, f1);
    }
    f0
}

/// Tiger's role of a parameter by its name, as the source decides it.
pub fn role_of(name: &str) -> Role {
    if name.contains("gamma") {
        Role::Scale
    } else if name.contains("bias") || name.contains("beta") {
        Role::Bias
    } else if name.contains("embeddings") {
        Role::Embedding
    } else {
        Role::Matrix
    }
}
