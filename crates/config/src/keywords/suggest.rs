//! "Did you mean": which keyword somebody may have wanted to write.

use super::{Block, BlockId, block, blocks_with};

/// A guess at what was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Suggestion {
    /// A keyword of this block that looks alike.
    Similar(&'static str),
    /// The same letters, some of them from another alphabet.
    Homoglyph(&'static str),
    /// A word of another program, or of long ago: why it is not here.
    Foreign(&'static str),
    /// The word is right, but belongs into these blocks.
    Elsewhere(Vec<BlockId>),
}

const DPVS: &str = "it belongs to DPVS, another program with a similar file";
const REMOVED: &str = "Keepalived dropped it long ago; leave it out";

/// Words that are found in files, and belong to no version that is read here.
const FOREIGN: &[(&str, &str)] = &[
    ("nat_mask", "NAT masks ended with Linux 2.2; leave it out"),
    ("lvs_id", "it was renamed: write router_id"),
    ("local_address_group", DPVS),
    ("laddr_group_name", DPVS),
    ("est_timeout", DPVS),
    ("syn_proxy", DPVS),
    ("sni", DPVS),
    ("conn_timeout", DPVS),
    ("bps", DPVS),
    ("limit_proportion", DPVS),
    ("max_connections", DPVS),
    ("vip_bind_dev", DPVS),
    ("expire_quiescent_conn", DPVS),
    ("quic", DPVS),
    ("hash_target", DPVS),
    ("tunnel", DPVS),
    ("tunnel_type", "write lb_kind TUN type …"),
    ("garp_lower_prio_repeate", "write garp_lower_prio_repeat"),
    ("vrrp_skip_alive_check", REMOVED),
    ("checker_email", REMOVED),
    ("vrrp_gratuitous_arp", REMOVED),
    ("no_preempt", "it is one word: write nopreempt"),
    ("notify_unknown", "there is no such state"),
    ("persistence", "write persistence_timeout"),
    ("misc_script", "write misc_path"),
];

/// Guesses what `word` should have been in `block`. Cheap enough for wrong words only.
pub fn suggest(at: BlockId, word: &str) -> Option<Suggestion> {
    let block = block(at);
    if !word.is_ascii()
        && let Some(keyword) = block.find(&ascii_twin(word))
    {
        return Some(Suggestion::Homoglyph(keyword.name));
    }
    if let Some((_, why)) = FOREIGN.iter().find(|(foreign, _)| *foreign == word) {
        return Some(Suggestion::Foreign(why));
    }
    let homes = blocks_with(word);
    if !homes.is_empty() {
        return Some(Suggestion::Elsewhere(homes.to_vec()));
    }
    similar(block, word).map(Suggestion::Similar)
}

/// The keyword of `block` that is closest to `word`, if any is close.
pub(crate) fn similar(block: &Block, word: &str) -> Option<&'static str> {
    closest(word, block.keywords().map(|k| k.name))
}

/// The candidate closest to `word`, if any is close: a third of its letters may differ.
pub(crate) fn closest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = word.to_lowercase().replace('-', "_");
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| {
            let folded = candidate.to_lowercase().replace('-', "_");
            (strsim::damerau_levenshtein(&word, &folded), candidate)
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Letters of other alphabets that look like Latin ones, replaced by these.
pub(crate) fn ascii_twin(word: &str) -> String {
    word.chars()
        .map(|c| match c {
            'а' => 'a',
            'А' => 'A',
            'е' | 'ё' => 'e',
            'Е' => 'E',
            'о' => 'o',
            'О' => 'O',
            'р' => 'p',
            'Р' => 'P',
            'с' => 'c',
            'С' => 'C',
            'у' => 'y',
            'х' => 'x',
            'Х' => 'X',
            'і' => 'i',
            'І' => 'I',
            'ѕ' => 's',
            'Ѕ' => 'S',
            'В' => 'B',
            'Н' => 'H',
            'К' => 'K',
            'М' => 'M',
            'Т' => 'T',
            'ο' => 'o',
            'α' => 'a',
            'ν' => 'v',
            '‐' | '‑' | '–' | '—' | '−' => '-',
            '＿' => '_',
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_finds_its_keyword() {
        assert_eq!(
            suggest(BlockId::VrrpInstance, "priorty"),
            Some(Suggestion::Similar("priority"))
        );
        assert_eq!(suggest(BlockId::Root, "vvrp_script"), Some(Suggestion::Similar("vrrp_script")));
        assert_eq!(suggest(BlockId::VrrpInstance, "xyzzy"), None);
    }

    #[test]
    fn a_foreign_letter_is_seen_through() {
        assert_eq!(
            suggest(BlockId::VrrpInstance, "prеempt"),
            Some(Suggestion::Homoglyph("preempt"))
        );
    }

    #[test]
    fn a_word_of_another_block_is_sent_home() {
        assert_eq!(
            suggest(BlockId::Root, "delay_loop").map(|s| matches!(s, Suggestion::Elsewhere(_))),
            Some(true)
        );
    }
}
