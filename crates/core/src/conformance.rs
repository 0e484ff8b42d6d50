//! The suites that every storage and user store must pass.
