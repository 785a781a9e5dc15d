//! The real binary, started in temporary folders.

#[cfg(test)]
mod simulate;
