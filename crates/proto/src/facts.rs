//! Which facts of RFC 3659 §7.5 a session has selected for `MLSD` and `MLST`.

/// One fact that this server supports. Owner and group (`UNIX.owner`, `UNIX.group`) are not among
/// them: accounts of the system are not shown to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fact {
    /// `type`: file, dir, or another.
    Type,
    /// `size`: bytes, of files only.
    Size,
    /// `modify`: when the content last changed, in UTC.
    Modify,
    /// `create`: when it was made, in UTC, where that is known.
    Create,
    /// `perm`: what may be done with it, as letters.
    Perm,
    /// `unique`: the same text for the same thing.
    Unique,
    /// `UNIX.mode`: permission bits, octal.
    UnixMode,
}

impl Fact {
    /// Every fact, in the order in which facts are written.
    pub const ALL: [Self; 7] = [
        Self::Type,
        Self::Size,
        Self::Modify,
        Self::Create,
        Self::Perm,
        Self::Unique,
        Self::UnixMode,
    ];

    /// The name on the wire. Clients may write it in any case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Size => "size",
            Self::Modify => "modify",
            Self::Create => "create",
            Self::Perm => "perm",
            Self::Unique => "unique",
            Self::UnixMode => "UNIX.mode",
        }
    }

    const fn bit(self) -> u16 {
        match self {
            Self::Type => 1,
            Self::Size => 1 << 1,
            Self::Modify => 1 << 2,
            Self::Create => 1 << 3,
            Self::Perm => 1 << 4,
            Self::Unique => 1 << 5,
            Self::UnixMode => 1 << 6,
        }
    }
}

/// A set of facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FactSet(u16);

impl Default for FactSet {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl FactSet {
    /// No fact at all. RFC 3659 §7.9 lets a client ask for that.
    pub const NONE: Self = Self(0);

    /// The default of a session.
    pub const DEFAULT: Self = Self::NONE
        .with(Fact::Type)
        .with(Fact::Size)
        .with(Fact::Modify)
        .with(Fact::Perm)
        .with(Fact::Unique)
        .with(Fact::UnixMode);

    /// The set with `fact` added.
    #[must_use]
    pub const fn with(self, fact: Fact) -> Self {
        Self(self.0 | fact.bit())
    }

    /// Whether `fact` is in the set.
    pub const fn has(self, fact: Fact) -> bool {
        self.0 & fact.bit() != 0
    }

    /// Reads the argument of `OPTS MLST` (RFC 3659 §7.9): names in any case, separated by `;`.
    /// Unknown names are ignored, as the RFC requires; so no name at all is the empty set.
    pub fn parse_opts(arg: &[u8]) -> Self {
        arg.split(|&byte| byte == b';').fold(Self::NONE, |set, name| {
            let name = name.trim_ascii();
            Fact::ALL
                .into_iter()
                .find(|fact| fact.name().as_bytes().eq_ignore_ascii_case(name))
                .map_or(set, |fact| set.with(fact))
        })
    }

    /// All facts as `FEAT` lists them behind `MLST `, those of the set with a star:
    /// `type*;size*;modify*;create;` and so on (RFC 3659 §7.8).
    pub fn feat(self) -> String {
        let mut text = String::new();
        for fact in Fact::ALL {
            text.push_str(fact.name());
            text.push_str(if self.has(fact) { "*;" } else { ";" });
        }
        text
    }

    /// The facts of the set as the reply to `OPTS MLST` lists them behind `MLST OPTS `:
    /// `type;size;`.
    pub fn selected(self) -> String {
        let mut text = String::new();
        for fact in Fact::ALL.into_iter().filter(|&fact| self.has(fact)) {
            text.push_str(fact.name());
            text.push(';');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn feat_lists_all_and_stars_the_selected() {
        assert_eq!(FactSet::DEFAULT.feat(), "type*;size*;modify*;create;perm*;unique*;UNIX.mode*;");
    }

    #[test]
    fn options_select_by_name_in_any_case_and_ignore_the_unknown() {
        let selected = |arg: &str| FactSet::parse_opts(arg.as_bytes()).selected();
        assert_eq!(selected("type;size;"), "type;size;");
        assert_eq!(selected("SIZE;Type;bogus; unix.MODE"), "type;size;UNIX.mode;");
        assert_eq!(selected(""), "");
        assert_eq!(selected(";;;"), "");
        assert_eq!(selected("typ;e"), "");
    }

    proptest! {
        #[test]
        fn what_is_selected_selects_the_same_again(arg: Vec<u8>, bits in 0_u16..128) {
            let chosen = FactSet(bits);
            prop_assert_eq!(FactSet::parse_opts(chosen.selected().as_bytes()), chosen);
            prop_assert_eq!(FactSet::parse_opts(&arg).0 & !511, 0);
        }
    }
}
