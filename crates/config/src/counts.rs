//! Counts as configuration values.

use std::path::Path;

use wharf_core::account::Count;

use super::raw::Raw;
use super::value::{ConfigValue, InvalidValue};

/// A whole number, 0 included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WholeNumber(pub u32);

impl ConfigValue for WholeNumber {
    const KIND: &'static str = "a whole number";

    fn read(raw: &Raw, _base: &Path) -> Result<Self, InvalidValue> {
        let number = raw.integer().ok_or_else(|| InvalidValue::kind::<Self>(raw))?;
        u32::try_from(number)
            .map(Self)
            .map_err(|_| InvalidValue::new(format!("{number} is out of range: 0 to {}", u32::MAX)))
    }
}

macro_rules! bounded {
    ($($(#[doc = $about:literal])+ $name:ident = $kind:literal, $most:literal;)+) => {$(
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name(pub u32);

        impl ConfigValue for $name {
            const KIND: &'static str = $kind;

            fn read(raw: &Raw, _base: &Path) -> Result<Self, InvalidValue> {
                let number = raw.integer().ok_or_else(|| InvalidValue::kind::<Self>(raw))?;
                let fitting = u32::try_from(number).ok().filter(|n| (1..=$most).contains(n));
                fitting.map(Self).ok_or_else(|| {
                    InvalidValue::new(format!("expected {}, found {number}", Self::KIND))
                })
            }
        }
    )+};
}

bounded! {
    /// Number of rotated logs; each rotation renames all of them.
    RotatedFiles = "a whole number from 1 to 1000", 1000;
    /// Number of concurrent programs, each of which is a process.
    FewPrograms = "a whole number from 1 to 60", 60;
}

/// A number that is derived from another one unless it is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoCount {
    /// Derived.
    Auto,
    /// This one.
    Fixed(Count),
}

/// Minimum of the derived number, so that a small `connections` does not lock out users.
const QUARTER_MIN: u32 = 16;

impl AutoCount {
    /// The number itself, or a quarter of `all`.
    pub fn or_quarter_of(self, all: Count) -> Count {
        match (self, all.number()) {
            (Self::Fixed(count), _) => count,
            (Self::Auto, Some(all)) => Count::from_number((all / 4).max(QUARTER_MIN)),
            (Self::Auto, None) => Count::Unlimited,
        }
    }
}

impl ConfigValue for AutoCount {
    const KIND: &'static str = "`auto`, a whole number, or 0 or `unlimited`";

    fn read(raw: &Raw, base: &Path) -> Result<Self, InvalidValue> {
        if raw.text() == Some("auto") {
            return Ok(Self::Auto);
        }
        if raw.integer().is_none() && raw.text() != Some("unlimited") {
            return Err(InvalidValue::kind::<Self>(raw));
        }
        Count::read(raw, base).map(Self::Fixed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::parse;
    use super::*;

    #[test]
    fn a_quarter_is_the_default() {
        let quarter = |text: &str, all| {
            parse::<AutoCount>(text).unwrap().or_quarter_of(Count::from_number(all)).number()
        };
        assert_eq!(quarter("auto", 512), Some(128));
        assert_eq!(quarter("auto", 4), Some(16));
        assert_eq!(quarter("auto", 0), None);
        assert_eq!(quarter("7", 512), Some(7));
        assert_eq!(quarter("0", 512), None);
        assert!(parse::<AutoCount>("few").is_err() && parse::<WholeNumber>("-1").is_err());
    }
}
