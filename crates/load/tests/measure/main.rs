//! Measurements of a real server in this process, and of misbehaving servers.

#[cfg(test)]
mod cases;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod support;
