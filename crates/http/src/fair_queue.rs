//! A queue that is fair to networks: a flood from one of them delays that one, and no other.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

/// Gives turns to those that wait, one from each key after the other.
///
/// As many wait as may. When there are no more places, a newcomer takes that of the last one of the key that has most of
/// them, unless its own key would then have as many.
#[derive(Debug)]
pub(crate) struct FairQueue<K>(Arc<Mutex<State<K>>>);

#[derive(Debug)]
struct State<K> {
    /// How many turns are free.
    free: usize,
    waiting_max: usize,
    waiting: usize,
    /// Those that wait, by key. None is empty.
    queues: HashMap<K, VecDeque<oneshot::Sender<()>>>,
    /// Each key of `queues`; the first one is next.
    order: VecDeque<K>,
}

/// Too many wait.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// A turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn<K: Copy + Eq + Hash>(FairQueue<K>);

/// A place in the queue. If it is dropped, the turn that it may have got goes to the next.
struct Place<K: Copy + Eq + Hash> {
    queue: FairQueue<K>,
    key: K,
    turn: oneshot::Receiver<()>,
}

impl<K> Clone for FairQueue<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Copy + Eq + Hash> FairQueue<K> {
    /// A queue that has so many turns at once, and in which at most `waiting_max` wait.
    pub(crate) fn new(turns: usize, waiting_max: usize) -> Self {
        let free = turns.max(1);
        let state = State { free, waiting_max, waiting: 0, queues: HashMap::new(), order: VecDeque::new() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Waits for a turn.
    pub(crate) async fn turn(&self, key: K) -> Result<Turn<K>, Full> {
        let waiting = {
            let mut state = self.locked();
            // A free turn means that nobody waits.
            if state.free > 0 {
                state.free -= 1;
                return Ok(Turn(self.clone()));
            }
            state.push(key)?
        };
        let mut place = Place { queue: self.clone(), key, turn: waiting };
        // A place that was taken away has no sender.
        (&mut place.turn).await.map(|()| Turn(self.clone())).map_err(|_| Full)
    }

    fn locked(&self) -> MutexGuard<'_, State<K>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Copy + Eq + Hash> State<K> {
    fn push(&mut self, key: K) -> Result<oneshot::Receiver<()>, Full> {
        if self.waiting >= self.waiting_max {
            self.make_room_for(key)?;
        }
        let (sender, receiver) = oneshot::channel();
        let queue = self.queues.entry(key).or_default();
        if queue.is_empty() {
            self.order.push_back(key);
        }
        queue.push_back(sender);
        self.waiting += 1;
        Ok(receiver)
    }

    /// Takes a place from the key that has most of them.
    fn make_room_for(&mut self, key: K) -> Result<(), Full> {
        let own = self.queues.get(&key).map_or(0, VecDeque::len);
        let longest = self.queues.iter().max_by_key(|(_, queue)| queue.len());
        let (&longest, length) = longest.map(|(key, queue)| (key, queue.len())).ok_or(Full)?;
        if length <= own + 1 {
            return Err(Full);
        }
        if let Some(queue) = self.queues.get_mut(&longest) {
            queue.pop_back();
            self.waiting -= 1;
        }
        Ok(())
    }

    /// Gives a turn to the next that still waits; if there is none, the turn is free.
    fn give_turn(&mut self) {
        while let Some(key) = self.order.pop_front() {
            let Some(queue) = self.queues.get_mut(&key) else { continue };
            let next = queue.pop_front();
            if queue.is_empty() {
                self.queues.remove(&key);
            } else {
                self.order.push_back(key);
            }
            if let Some(next) = next {
                self.waiting -= 1;
                if next.send(()).is_ok() {
                    return;
                }
            }
        }
        self.free += 1;
    }

    /// Removes the places of a key that nobody waits at.
    fn remove_left(&mut self, key: K) {
        let Some(queue) = self.queues.get_mut(&key) else { return };
        let before = queue.len();
        queue.retain(|sender| !sender.is_closed());
        self.waiting -= before - queue.len();
        if queue.is_empty() {
            self.queues.remove(&key);
            self.order.retain(|known| *known != key);
        }
    }
}

impl<K: Copy + Eq + Hash> Drop for Turn<K> {
    fn drop(&mut self) {
        self.0.locked().give_turn();
    }
}

impl<K: Copy + Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        if self.turn.is_terminated() {
            return;
        }
        let mut state = self.queue.locked();
        self.turn.close();
        if self.turn.try_recv().is_ok() {
            state.give_turn();
        } else {
            state.remove_left(self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use futures::FutureExt;

    use super::*;

    type Waiting<'q> = Pin<Box<dyn Future<Output = Result<Turn<char>, Full>> + 'q>>;

    /// Waits with these keys, in this order. None of them gets a turn.
    fn waiting<'q>(queue: &'q FairQueue<char>, keys: &str) -> Vec<(char, Waiting<'q>)> {
        let wait = |key| {
            let mut waiting: Waiting<'_> = Box::pin(queue.turn(key));
            assert!(waiting.as_mut().now_or_never().is_none(), "{key}");
            (key, waiting)
        };
        keys.chars().map(wait).collect()
    }

    /// Who gets one turn after the other, and who is refused.
    fn served(mut waiting: Vec<(char, Waiting<'_>)>, first: Turn<char>) -> (String, String) {
        let (mut served, mut refused) = (String::new(), String::new());
        let mut turn = Some(first);
        while turn.take().is_some() {
            waiting.retain_mut(|(key, waiting)| match waiting.as_mut().now_or_never() {
                Some(Ok(next)) => {
                    served.push(*key);
                    assert!(turn.replace(next).is_none(), "there is one turn");
                    false
                }
                Some(Err(Full)) => {
                    refused.push(*key);
                    false
                }
                None => true,
            });
        }
        assert!(waiting.is_empty());
        (served, refused)
    }

    #[tokio::test]
    async fn keys_get_turns_one_after_the_other_and_each_in_its_own_order() {
        let queue = FairQueue::new(1, 10);
        let first = queue.turn('a').await.unwrap();
        let crowd = waiting(&queue, "aaaabbc");
        assert_eq!(served(crowd, first), ("abcabaa".to_owned(), String::new()));
        let state = queue.locked();
        assert_eq!((state.free, state.waiting, state.queues.len(), state.order.len()), (1, 0, 0, 0));
    }

    #[tokio::test]
    async fn a_flood_of_one_key_gives_way_to_others_and_to_nobody_of_its_own() {
        let queue = FairQueue::new(1, 4);
        let first = queue.turn('a').await.unwrap();
        let mut crowd = waiting(&queue, "aaaa");
        assert_eq!(queue.turn('a').await.unwrap_err(), Full);
        crowd.extend(waiting(&queue, "bc"));
        // Each of them has one or two places, so nobody gives way to a fifth.
        for key in ['a', 'b', 'c'] {
            assert_eq!(queue.turn(key).await.unwrap_err(), Full, "{key}");
        }
        crowd.extend(waiting(&queue, "d"));
        assert_eq!(served(crowd, first), ("abcd".to_owned(), "aaa".to_owned()));
    }

    #[tokio::test]
    async fn a_place_that_is_left_is_free_and_its_turn_goes_to_the_next() {
        let queue = FairQueue::new(1, 2);
        let first = queue.turn('a').await.unwrap();
        drop(waiting(&queue, "ab"));
        assert_eq!(queue.locked().waiting, 0);
        assert!(queue.locked().order.is_empty());
        let mut crowd = waiting(&queue, "ab");
        drop(first);
        // The turn was given to the first, which leaves without having seen it.
        drop(crowd.remove(0));
        let (_, last) = crowd.remove(0);
        let turn = last.now_or_never().unwrap().unwrap();
        assert_eq!(queue.locked().free, 0);
        drop(turn);
        assert_eq!(queue.locked().free, 1);
    }
}
