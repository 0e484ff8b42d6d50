//! Escapes user input in filters and DNs, so that it stays a value.

use ldap3::{dn_escape, ldap_escape};

use super::super::USER_MARK;

/// The filter for a name (RFC 4515 §3).
pub(super) fn filter(template: &str, user: &str) -> String {
    template.replace(USER_MARK, &ldap_escape(user))
}

/// The DN for a name (RFC 4514 §2.4).
pub(super) fn dn(template: &str, user: &str) -> String {
    template.replace(USER_MARK, &dn_escape(user))
}

/// The filter that a group's entry meets if one is in it.
pub(super) fn membership(user: &str, dn: &str) -> String {
    let (user, dn) = (ldap_escape(user), ldap_escape(dn));
    format!("(|(member={dn})(uniqueMember={dn})(memberUid={user}))")
}

/// The DN of no entry, for a bind in place of an unknown name.
pub(super) fn dummy_dn(base: &str) -> String {
    let name = "cn=wharf-checks-a-name-that-does-not-exist";
    if base.is_empty() { name.to_owned() } else { format!("{name},{base}") }
}

#[cfg(test)]
mod tests {
    use ldap3::parse_filter;
    use proptest::prelude::*;

    use super::*;

    const TEMPLATE: &str = "(&(objectClass=person)(uid=%u))";

    #[test]
    fn row_21_a_name_stays_a_value_in_a_filter() {
        for (name, filtered) in [
            ("anna", "anna"),
            ("*", "\\2a"),
            ("anna)(uid=*", "anna\\29\\28uid=\\2a"),
            ("a\\2a", "a\\5c2a"),
            ("%u%d", "%u%d"),
            ("王", "王"),
        ] {
            let expected = format!("(&(objectClass=person)(uid={filtered}))");
            assert_eq!(filter(TEMPLATE, name), expected);
        }
    }

    #[test]
    fn row_21_a_name_stays_a_value_in_a_dn() {
        for (name, escaped) in [
            ("anna", "uid=anna,dc=x"),
            ("anna,ou=admins", "uid=anna\\2cou\\3dadmins,dc=x"),
            ("a+b", "uid=a\\2bb,dc=x"),
            (" a ", "uid=\\20a\\20,dc=x"),
            ("#a", "uid=\\23a,dc=x"),
            ("a\"<>;\\", "uid=a\\22\\3c\\3e\\3b\\5c,dc=x"),
        ] {
            assert_eq!(dn("uid=%u,dc=x", name), escaped);
        }
    }

    proptest! {
        #[test]
        fn row_21_no_name_changes_the_shape_of_a_filter(name in any::<String>()) {
            let text = filter(TEMPLATE, &name);
            let is_structure = |letter: &char| matches!(letter, '(' | ')' | '*');
            let structure = |text: &str| text.chars().filter(is_structure).collect::<String>();
            prop_assert_eq!(structure(&text), structure(&filter(TEMPLATE, "x")));
            prop_assert!(name.is_empty() || parse_filter(&text).is_ok(), "{}", text);
            prop_assert!(parse_filter(membership(&name, &name)).is_ok());
        }

        #[test]
        fn row_21_no_name_adds_a_part_to_a_dn(name in any::<String>()) {
            let made = dn("uid=%u,dc=x", &name);
            let mut parts = 1;
            let mut letters = made.chars();
            while let Some(letter) = letters.next() {
                match letter {
                    '\\' => drop(letters.next()),
                    ',' | '+' | ';' => parts += 1,
                    _ => {}
                }
            }
            prop_assert_eq!(parts, 2, "{}", made);
        }
    }
}
