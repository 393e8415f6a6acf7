//! Fronts: what a protocol says becomes an Exchange, and what the Exchange answers becomes the protocol again.

pub(crate) mod h1;
pub(crate) mod h2;
