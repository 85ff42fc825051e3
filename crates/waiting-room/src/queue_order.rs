//! The order of a queue: an order-statistic tree.
//!
//! A treap: a binary search tree by sort key that is also a heap by a pseudo-random priority, which keeps its depth
//! logarithmic whatever the order of joins and departures; each node counts what is below it, which makes a position one
//! walk from the root. Inserting (at the end or in between), removing, taking the first and finding a position are
//! O(log n), none with a slow case such as rebuilding an index. The nodes live in one vector and refer to each other by
//! index, so that there is no allocation per entry and nothing unsafe.
//!
//! A sort key is the number of a place or a number drawn; values of the same key stand in their own order. The priority
//! is computed from the key. The server counts places, and numbers are drawn from a secret, so no client can choose them
//! to unbalance the tree.

use std::cmp::Ordering;

/// The index of no node.
const NONE: u32 = u32::MAX;

#[derive(Debug)]
struct Node<V> {
    key: u64,
    value: V,
    /// Everything earlier below this node; in a node out of use, the next one out of use.
    left: u32,
    /// Everything later below this node.
    right: u32,
    /// How many nodes this one and those below it are.
    count: u32,
}

/// Values in the order of their sort keys, those of one key in their own order.
#[derive(Debug)]
pub(crate) struct QueueOrder<V> {
    nodes: Vec<Node<V>>,
    root: u32,
    unused: u32,
}

impl<V: Copy + Ord> QueueOrder<V> {
    pub(crate) const fn new() -> Self {
        Self { nodes: Vec::new(), root: NONE, unused: NONE }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.root == NONE
    }

    /// How many are before this value at this key; `None` if it is not in the order.
    pub(crate) fn rank(&self, key: u64, value: V) -> Option<u32> {
        let mut before = 0;
        let mut at = self.root;
        while let Some(node) = self.node(at) {
            match (key, value).cmp(&(node.key, node.value)) {
                Ordering::Less => at = node.left,
                Ordering::Equal => return Some(before + self.count(node.left)),
                Ordering::Greater => {
                    before += self.count(node.left) + 1;
                    at = node.right;
                }
            }
        }
        None
    }

    /// Adds a value at a key. `false`, and nothing changes, if it is there already.
    pub(crate) fn insert(&mut self, key: u64, value: V) -> bool {
        if self.rank(key, value).is_some() {
            return false;
        }
        let node = self.allocate(Node { key, value, left: NONE, right: NONE, count: 1 });
        let (before, after) = self.split(self.root, |other| other < (key, value));
        let before = self.merge(before, node);
        self.root = self.merge(before, after);
        true
    }

    /// Takes a value at a key out. `false` if it is not there.
    pub(crate) fn remove(&mut self, key: u64, value: V) -> bool {
        if self.rank(key, value).is_none() {
            return false;
        }
        let (before, rest) = self.split(self.root, |other| other < (key, value));
        let (found, after) = self.split(rest, |other| other <= (key, value));
        self.root = self.merge(before, after);
        self.release(found);
        true
    }

    /// Takes out the first one.
    pub(crate) fn pop_first(&mut self) -> Option<(u64, V)> {
        let first = self.first()?;
        self.remove(first.0, first.1);
        Some(first)
    }

    /// The first one.
    pub(crate) fn first(&self) -> Option<(u64, V)> {
        let mut first = self.node(self.root)?;
        while let Some(earlier) = self.node(first.left) {
            first = earlier;
        }
        Some((first.key, first.value))
    }

    fn node(&self, at: u32) -> Option<&Node<V>> {
        self.nodes.get(at as usize)
    }

    fn count(&self, at: u32) -> u32 {
        self.node(at).map_or(0, |node| node.count)
    }

    fn recount(&mut self, at: u32) {
        let node = &self.nodes[at as usize];
        let count = 1 + self.count(node.left) + self.count(node.right);
        self.nodes[at as usize].count = count;
    }

    /// Parts a tree into those of which `is_before` holds and the others.
    fn split(&mut self, at: u32, is_before: impl Fn((u64, V)) -> bool + Copy) -> (u32, u32) {
        let Some(node) = self.node(at) else { return (NONE, NONE) };
        let (left, right) = (node.left, node.right);
        let parts = if is_before((node.key, node.value)) {
            let (before, after) = self.split(right, is_before);
            self.nodes[at as usize].right = before;
            (at, after)
        } else {
            let (before, after) = self.split(left, is_before);
            self.nodes[at as usize].left = after;
            (before, at)
        };
        self.recount(at);
        parts
    }

    /// Joins two trees, all of the first before all of the second.
    fn merge(&mut self, first: u32, second: u32) -> u32 {
        let (Some(one), Some(other)) = (self.node(first), self.node(second)) else {
            return if first == NONE { second } else { first };
        };
        if priority(one.key) > priority(other.key) {
            let right = self.merge(one.right, second);
            self.nodes[first as usize].right = right;
            self.recount(first);
            first
        } else {
            let left = self.merge(first, other.left);
            self.nodes[second as usize].left = left;
            self.recount(second);
            second
        }
    }

    fn allocate(&mut self, node: Node<V>) -> u32 {
        if let Some(unused) = self.node(self.unused) {
            let (at, next) = (self.unused, unused.left);
            self.nodes[at as usize] = node;
            self.unused = next;
            return at;
        }
        let at = u32::try_from(self.nodes.len()).expect("the capacity of a queue is far below 2^32");
        self.nodes.push(node);
        at
    }

    /// Puts a node out of use. An empty order gives its memory back.
    fn release(&mut self, at: u32) {
        if self.is_empty() {
            *self = Self::new();
        } else {
            self.nodes[at as usize].left = self.unused;
            self.unused = at;
        }
    }
}

/// A number that looks random, always the same for the same key: the output step of `SplitMix64`.
fn priority(key: u64) -> u64 {
    let mixed = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The bytes that one entry takes in the vector of nodes, apart from the vector's spare room.
#[cfg(test)]
pub(crate) const fn bytes_per_entry<V>() -> usize {
    size_of::<Node<V>>()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    impl<V: Copy + Ord> QueueOrder<V> {
        fn depth(&self, at: u32) -> u32 {
            self.node(at).map_or(0, |node| 1 + self.depth(node.left).max(self.depth(node.right)))
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Insert(u64, u8),
        Remove(u64, u8),
        PopFirst,
    }

    fn step() -> impl Strategy<Value = Step> {
        // Few keys and values, so that they meet; the extremes too.
        let key = prop_oneof![8 => 0..12_u64, 1 => Just(u64::MAX)];
        let entry = (key, 0..4_u8);
        prop_oneof![
            4 => entry.clone().prop_map(|(key, value)| Step::Insert(key, value)),
            2 => entry.prop_map(|(key, value)| Step::Remove(key, value)),
            1 => Just(Step::PopFirst),
        ]
    }

    proptest! {
        #[test]
        fn behaves_as_a_sorted_set(steps in prop::collection::vec(step(), 0..200)) {
            let mut order = QueueOrder::new();
            let mut model = BTreeSet::new();
            for step in steps {
                match step {
                    Step::Insert(key, value) => {
                        prop_assert_eq!(order.insert(key, value), model.insert((key, value)));
                    }
                    Step::Remove(key, value) => {
                        prop_assert_eq!(order.remove(key, value), model.remove(&(key, value)));
                    }
                    Step::PopFirst => prop_assert_eq!(order.pop_first(), model.pop_first()),
                }
                prop_assert_eq!(order.is_empty(), model.is_empty());
                prop_assert_eq!(order.first(), model.first().copied());
                for (rank, (key, value)) in (0..).zip(&model) {
                    prop_assert_eq!(order.rank(*key, *value), Some(rank));
                }
                prop_assert_eq!(order.rank(1_000, 0), None);
                prop_assert_eq!(order.rank(3, 9), None);
            }
        }
    }

    #[test]
    fn stays_shallow_and_reuses_its_nodes() {
        let mut order = QueueOrder::new();
        for key in 0..100_000 {
            assert!(order.insert(1_800_000_000_000_000 + key, ()));
        }
        for key in (0..100_000).filter(|key| key % 3 != 0) {
            assert!(order.remove(1_800_000_000_000_000 + key, ()));
        }
        for key in 0..66_666 {
            assert!(order.insert(key, ()), "an earlier key can be added at any time");
        }
        assert_eq!(order.nodes.len(), 100_000);
        assert_eq!(order.rank(1_800_000_000_000_000, ()), Some(66_666));
        // A random tree of 100,000 nodes is about 40 deep; a list would be 100,000.
        let depth = order.depth(order.root);
        assert!(depth < 80, "{depth} deep");
    }

    #[test]
    fn priorities_are_those_of_split_mix_64() {
        // The first two numbers that it gives from the seed 0.
        assert_eq!([0, 0x9e37_79b9_7f4a_7c15].map(priority), [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
    }

    #[test]
    fn gives_its_memory_back_when_empty() {
        let mut order = QueueOrder::new();
        (0..1_000).for_each(|key| assert!(order.insert(key, key)));
        (0..1_000).for_each(|key| assert_eq!(order.pop_first(), Some((key, key))));
        assert_eq!(order.pop_first(), None);
        assert_eq!(order.nodes.capacity(), 0);
    }
}
