//! Criterion micro-benchmarks of the pure rooms; there is nothing but `benches/` here.
