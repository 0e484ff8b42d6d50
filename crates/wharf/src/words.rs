//! Generated passwords that are easy to read aloud: `maple-otter-26-quay-fern`.

use wharf_config::outcome::Failure;

/// A generated password.
pub(crate) fn fresh() -> Result<String, Failure> {
    fresh_password().map_err(|error| Failure::new(format!("cannot generate a password: {error}")))
}

/// Generates a password of four words and a number, with more than 40 bits of entropy.
fn fresh_password() -> Result<String, getrandom::Error> {
    let mut parts = Vec::new();
    for _ in 0..WORDS_PER_PASSWORD {
        parts.push(word(below(WORDS.len())?).to_owned());
    }
    let number = NUMBER_MIN + below(NUMBER_COUNT)?;
    parts.insert(2, number.to_string());
    Ok(parts.join("-"))
}

const WORDS_PER_PASSWORD: usize = 4;
const NUMBER_MIN: usize = 10;
const NUMBER_COUNT: usize = 90;

fn word(index: usize) -> &'static str {
    WORDS.get(index).copied().unwrap_or_default()
}

/// A uniformly distributed number below `count`.
fn below(count: usize) -> Result<usize, getrandom::Error> {
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    // Values of the last, incomplete range are rejected: they would favour small numbers.
    let fair = u64::MAX - u64::MAX % count;
    loop {
        let number = getrandom::u64()?;
        if number < fair {
            return Ok(usize::try_from(number % count).unwrap_or_default());
        }
    }
}

/// Short, common words that are hard to confuse when heard.
static WORDS: &[&str] = &[
    "acorn", "actor", "agent", "album", "alder", "alley", "alpine", "amber", "anchor", "angle",
    "ankle", "anvil", "apple", "apron", "arch", "arena", "armor", "arrow", "artist", "aspen",
    "atlas", "attic", "autumn", "badge", "badger", "bagel", "baker", "bamboo", "banana", "banjo",
    "barge", "barley", "barn", "barrel", "basil", "basin", "basket", "beach", "beacon", "bead",
    "beaver", "beech", "belt", "bench", "berry", "birch", "bird", "bishop", "bison", "blade",
    "blaze", "bloom", "bluff", "board", "boat", "bonus", "book", "boot", "border", "bottle",
    "bowl", "branch", "brass", "bread", "breeze", "brick", "bridge", "broom", "brook", "brush",
    "bucket", "budget", "buffer", "bugle", "bundle", "bunker", "butter", "button", "cabin",
    "cable", "cactus", "camel", "camera", "camp", "canal", "candle", "canoe", "canvas", "canyon",
    "carbon", "cargo", "carpet", "carrot", "castle", "cat", "cave", "cedar", "cello", "chain",
    "chalk", "chapel", "cheese", "cherry", "chess", "chief", "cider", "cinema", "circle", "circus",
    "citrus", "clay", "cliff", "cloak", "clock", "cloud", "clover", "coast", "cobalt", "coffee",
    "comet", "copper", "coral", "corner", "cotton", "cougar", "crane", "crater", "crayon", "cream",
    "creek", "crisp", "crown", "cube", "cup", "cycle", "daisy", "dance", "dawn", "deer", "delta",
    "denim", "desert", "desk", "diary", "dinner", "dock", "donkey", "dragon", "drum", "duck",
    "dune", "eagle", "easel", "echo", "elbow", "elder", "ember", "engine", "falcon", "farm",
    "fern", "ferry", "fiber", "field", "finch", "fir", "flag", "flame", "flint", "flute", "forest",
    "fossil", "fox", "frost", "fudge", "galaxy", "garden", "garlic", "gate", "gecko", "geyser",
    "ginger", "globe", "glove", "goat", "goose", "grain", "grape", "gravel", "guitar", "gull",
    "hammer", "harbor", "harp", "hazel", "hedge", "helmet", "heron", "hill", "honey", "hornet",
    "hotel", "house", "igloo", "indigo", "ink", "iron", "island", "ivory", "ivy", "jacket",
    "jaguar", "jelly", "jewel", "jigsaw", "jungle", "kayak", "kernel", "kettle", "key", "kite",
    "kitten", "koala", "ladder", "lagoon", "lake", "lamp", "lark", "laurel", "lava", "lemon",
    "letter", "lilac", "lily", "lime", "linen", "lion", "lizard", "llama", "locket", "lotus",
    "lunar", "lynx", "magnet", "mango", "manor", "maple", "marble", "market", "marsh", "meadow",
    "medal", "melon", "mentor", "meteor", "mill", "mint", "mirror", "mitten", "moon", "moose",
    "mosaic", "moss", "motor", "mouse", "muffin", "museum", "napkin", "nectar", "needle", "nickel",
    "noodle", "north", "nutmeg", "oak", "oasis", "oat", "ocean", "octave", "olive", "onion",
    "opal", "orange", "orbit", "orchid", "otter", "oven", "owl", "oyster", "paddle", "palace",
    "palm", "panda", "paper", "parade", "parcel", "parrot", "pasta", "patio", "pearl", "pebble",
    "pecan", "pencil", "pepper", "piano", "picnic", "pigeon", "pillow", "pilot", "pine", "pirate",
    "planet", "plank", "plaza", "plum", "pocket", "poem", "polar", "pond", "pony", "poplar",
    "poppy", "potato", "prism", "puffin", "puzzle", "quail", "quartz", "quay", "quilt", "rabbit",
    "radio", "raft", "rain", "ranch", "raven", "reef", "ribbon", "ridge", "river", "robin",
    "rocket", "rope", "rose", "ruby", "saddle", "sail", "salmon", "salt", "sand", "satin", "scarf",
    "school", "scout", "seal", "shell", "shore", "silk", "silver", "sketch", "sled", "slope",
    "snow", "socket", "sofa", "spark", "spice", "spider", "spoon", "spruce", "squid", "stable",
    "stamp", "star", "statue", "steam", "stone", "stork", "storm", "straw", "studio", "sugar",
    "summer", "sunset", "swan", "table", "tango", "temple", "tennis", "ticket", "tiger", "timber",
    "toast", "token", "tomato", "topaz", "torch", "tower", "trail", "train", "tulip", "tundra",
    "tunnel", "turtle", "valley", "velvet", "violet", "violin", "voyage", "wagon", "walnut",
    "walrus", "water", "wave", "wheat", "whale", "willow", "window", "winter", "wizard", "wolf",
    "wood", "yacht", "yarn", "zebra", "zephyr", "zinc",
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_password_has_more_than_forty_bits() {
        let words = u32::try_from(WORDS_PER_PASSWORD).unwrap();
        let combinations = WORDS.len().pow(words) * NUMBER_COUNT;
        assert!(combinations.ilog2() >= 40, "{combinations}");
    }

    #[test]
    fn words_are_distinct_lower_case_and_short() {
        assert_eq!(WORDS.iter().collect::<HashSet<_>>().len(), WORDS.len());
        for word in WORDS {
            assert!((3..=6).contains(&word.len()), "{word}");
            assert!(word.bytes().all(|byte| byte.is_ascii_lowercase()), "{word}");
        }
    }

    #[test]
    fn no_two_passwords_are_alike() {
        let passwords: HashSet<_> = (0..1000).map(|_| fresh_password().unwrap()).collect();
        assert_eq!(passwords.len(), 1000);
        let parts: Vec<_> = passwords.iter().next().unwrap().split('-').collect::<Vec<_>>();
        assert_eq!(parts.len(), 5);
        assert!(parts[2].parse::<usize>().is_ok_and(|number| (10..100).contains(&number)));
    }
}
