//! What a misspelt name may have meant.

/// How many names of a run are looked up. Nobody reads so many suggestions, and who gives a wrong file (thousands of
/// unknown names) should not wait for them.
const LOOK_UPS_MAX: usize = 50;

/// Suggestions for the first mistakes of a run.
#[derive(Debug)]
pub(crate) struct Suggestions {
    left: usize,
}

impl Default for Suggestions {
    fn default() -> Suggestions {
        Suggestions { left: LOOK_UPS_MAX }
    }
}

impl Suggestions {
    /// The candidate nearest to `word`, if one is near enough to be worth naming: at most a third of the letters differ.
    pub(crate) fn nearest<'c>(&mut self, word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
        self.left = self.left.checked_sub(1)?;
        let limit = (word.chars().count() / 3).clamp(1, 4);
        candidates
            .into_iter()
            .filter(|candidate| candidate.len().abs_diff(word.len()) <= limit)
            .filter_map(|candidate| Some((distance(word, candidate, limit)?, candidate)))
            .min()
            .map(|(_, candidate)| candidate)
    }
}

/// Edits between two words if they are at most `limit`: insert, delete, replace, or swap two neighbours (optimal string
/// alignment).
fn distance(a: &str, b: &str, limit: usize) -> Option<usize> {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        // Each row is made of the two above it, so nothing smaller follows two rows over the limit.
        if row.iter().chain(&last).all(|&edits| edits > limit) {
            return None;
        }
        before = std::mem::replace(&mut last, row);
    }
    Some(last[b.len()]).filter(|&edits| edits <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
        Suggestions::default().nearest(word, candidates)
    }

    #[test]
    fn a_slip_of_the_finger_is_one_edit() {
        assert_eq!(distance("proxy_pas", "proxy_pass", 9), Some(1));
        assert_eq!(distance("porxy_pass", "proxy_pass", 9), Some(1));
        assert_eq!(distance("", "abc", 9), Some(3));
    }

    #[test]
    fn what_is_over_the_limit_is_not_counted_to_its_end() {
        assert_eq!(distance("abcdefgh", "stuvwxyz", 8), Some(8));
        assert_eq!(distance("abcdefgh", "stuvwxyz", 7), None);
        assert_eq!(distance("badcfehg", "abcdefgh", 4), Some(4));
        assert_eq!(distance("badcfehg", "abcdefgh", 3), None);
    }

    #[test]
    fn only_near_names_are_suggested() {
        let names = ["proxy_pass", "listen", "location"];
        assert_eq!(nearest("proxy_pas", names), Some("proxy_pass"));
        assert_eq!(nearest("lisetn", names), Some("listen"));
        assert_eq!(nearest("something_else", names), None);
    }

    #[test]
    fn after_so_many_mistakes_nothing_is_suggested_any_more() {
        let mut suggestions = Suggestions::default();
        for _ in 0..LOOK_UPS_MAX {
            assert_eq!(suggestions.nearest("lisetn", ["listen"]), Some("listen"));
        }
        assert_eq!(suggestions.nearest("lisetn", ["listen"]), None);
    }
}
