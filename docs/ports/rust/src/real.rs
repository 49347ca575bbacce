//! What the rules need of `f32` and `f64`, and the bits behind each number.

use std::ops::{Add, Mul, Sub};

pub trait Real: Copy + PartialOrd + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> {
    const DTYPE: &'static str;
    /// Hexadecimal digits of one element.
    const DIGITS: usize;
    fn of(x: f64) -> Self;
    fn widen(self) -> f64;
    fn from_pattern(bits: u64) -> Self;
    fn pattern(self) -> u64;

    /// `f32::signum` of 0 is 1; the rules say 0, and NaN for NaN.
    fn sign(self) -> Self {
        let zero = Self::of(0.0);
        if self > zero {
            Self::of(1.0)
        } else if self < zero {
            Self::of(-1.0)
        } else if self == zero {
            zero
        } else {
            self
        }
    }
}

macro_rules! real {
    ($type:ty, $bits:ty, $dtype:literal, $digits:literal) => {
        impl Real for $type {
            const DTYPE: &'static str = $dtype;
            const DIGITS: usize = $digits;
            fn of(x: f64) -> Self {
                x as $type
            }
            fn widen(self) -> f64 {
                self as f64
            }
            fn from_pattern(bits: u64) -> Self {
                <$type>::from_bits(bits as $bits)
            }
            fn pattern(self) -> u64 {
                self.to_bits() as u64
            }
        }
    };
}

real!(f32, u32, "float32", 8);
real!(f64, u64, "float64", 16);
