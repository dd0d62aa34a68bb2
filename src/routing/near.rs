//! Names a mistyped one could have meant: edit distance of two at most.

/// Collects the nearest of the names offered.
#[derive(Debug)]
pub(crate) struct Nearest {
    wanted: Vec<char>,
    found: Vec<(usize, String)>,
}

/// Farthest name that is still a suggestion.
const FARTHEST: usize = 2;
/// Most suggestions.
const MOST: usize = 3;
/// A longer name is no slip of the fingers, and comparing it would cost too much.
const LONGEST: usize = 128;

impl Nearest {
    pub(crate) fn to(wanted: &str) -> Self {
        Self { wanted: letters(wanted), found: Vec::new() }
    }

    pub(crate) fn offer(&mut self, name: &str) {
        // Cheap test first: bytes are at least as many as characters, at most four times.
        if self.wanted.len() > LONGEST || name.len() > LONGEST.saturating_mul(4) {
            return;
        }
        let Some(distance) = distance(&self.wanted, &letters(name)) else { return };
        // Of a short word little would be left: that is another name, not a slip.
        if distance.saturating_mul(2) >= self.wanted.len() {
            return;
        }
        if self.found.iter().any(|(_, known)| known == name) {
            return;
        }
        self.found.push((distance, name.to_owned()));
        self.found.sort();
        self.found.truncate(MOST);
    }

    pub(crate) fn found(self) -> Vec<String> {
        self.found.into_iter().map(|(_, name)| name).collect()
    }
}

fn letters(name: &str) -> Vec<char> {
    name.chars().flat_map(char::to_lowercase).collect()
}

/// Insertions, deletions and replacements between the two, when they are few enough.
fn distance(a: &[char], b: &[char]) -> Option<usize> {
    if a.len().abs_diff(b.len()) > FARTHEST {
        return None;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i.saturating_add(1);
        let mut best = left;
        let mut next = Vec::with_capacity(row.len());
        next.push(left);
        for (y, above) in b.iter().zip(row.iter().skip(1)) {
            let replaced = diagonal.saturating_add(usize::from(x != y));
            left = replaced.min(above.saturating_add(1)).min(left.saturating_add(1));
            best = best.min(left);
            diagonal = *above;
            next.push(left);
        }
        if best > FARTHEST {
            return None;
        }
        row = next;
    }
    row.last().copied().filter(|d| *d <= FARTHEST)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn far(a: &str, b: &str) -> Option<usize> {
        distance(&letters(a), &letters(b))
    }

    #[test]
    fn distances_up_to_two_are_counted() {
        let table = [
            ("", "", Some(0)),
            ("abc", "ABC", Some(0)),
            ("abc", "abd", Some(1)),
            ("abc", "ab", Some(1)),
            ("abc", "xabc", Some(1)),
            ("abc", "bca", Some(2)),
            ("abc", "xyz", None),
            ("abc", "abcdef", None),
            ("claude-opus-4-6", "claude-opsu-4-6", Some(2)),
            ("é", "e", Some(1)),
        ];
        for (a, b, want) in table {
            assert_eq!(far(a, b), want, "{a} {b}");
        }
    }

    #[test]
    fn the_three_nearest_are_kept_in_order() {
        let mut near = Nearest::to("model");
        for name in ["xxxxx", "modxx", "mod1l", "models", "model1", "model", "model", "mode"] {
            near.offer(name);
        }
        assert_eq!(near.found(), ["model", "mod1l", "mode"]);
    }

    proptest! {
        #[test]
        fn distance_is_symmetric_and_zero_only_for_equals(a in "[ab]{0,6}", b in "[ab]{0,6}") {
            prop_assert_eq!(far(&a, &b), far(&b, &a));
            prop_assert_eq!(far(&a, &b) == Some(0), a == b);
        }
    }
}
