//! The engine against recomputation from scratch.

mod driver;
mod random;
mod reference;
mod shape;
