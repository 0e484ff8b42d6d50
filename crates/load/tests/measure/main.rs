//! Measurements of a real server within this process, and of servers that do wrong.

#[cfg(test)]
mod cases;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod support;
