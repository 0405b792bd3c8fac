//! Which server of an upstream: weighted round robin, or the one of two drawn at random that has less to do.

use std::cell::Cell;

use config::snapshot::Balance;

/// What the choice looks at.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Relative share; 0: not to be used.
    pub weight: u32,
    /// Requests under way on this worker.
    pub in_flight: u32,
    /// Smooth round robin's running credit.
    pub credit: &'a Cell<i64>,
}

/// The number of the server to use, of `count`; `None` if no candidate has a weight. `draw(n)` gives a random number below `n`.
/// A candidate may be asked for several times. Allocates nothing.
pub fn pick<'a>(
    balance: Balance,
    count: usize,
    candidate: impl Fn(usize) -> Candidate<'a>,
    draw: impl FnMut(u64) -> u64,
) -> Option<usize> {
    match balance {
        Balance::RoundRobin => round_robin(count, candidate),
        Balance::LeastRequests => less_of_two(count, candidate, draw),
    }
}

/// Smooth weighted round robin: everybody gains its weight, the richest is taken and pays the total. Spreads the turns of a
/// heavy server evenly between those of the others.
fn round_robin<'a>(count: usize, candidate: impl Fn(usize) -> Candidate<'a>) -> Option<usize> {
    let mut total = 0;
    let mut best: Option<(usize, &Cell<i64>)> = None;
    for index in 0..count {
        let Candidate { weight, credit, .. } = candidate(index);
        if weight == 0 {
            continue;
        }
        credit.set(credit.get() + i64::from(weight));
        total += i64::from(weight);
        if best.is_none_or(|(_, best)| credit.get() > best.get()) {
            best = Some((index, credit));
        }
    }
    let (index, credit) = best?;
    credit.set(credit.get() - total);
    Some(index)
}

/// Two different servers are drawn by weight; of these, the one with fewer requests per weight, the first among equals. Far
/// fewer requests pile up than by chance alone, and nobody rushes to the one server that looked idle a moment ago.
fn less_of_two<'a>(
    count: usize,
    candidate: impl Fn(usize) -> Candidate<'a>,
    mut draw: impl FnMut(u64) -> u64,
) -> Option<usize> {
    let weight = |index: usize, but: Option<usize>| if Some(index) == but { 0 } else { candidate(index).weight };
    let mut drawn = |but: Option<usize>| {
        let total: u64 = (0..count).map(|index| u64::from(weight(index, but))).sum();
        let mut at = if total == 0 { return None } else { draw(total) };
        (0..count).find(|index| {
            let weight = u64::from(weight(*index, but));
            let hit = at < weight;
            at = at.saturating_sub(weight);
            hit
        })
    };
    let first = drawn(None)?;
    let Some(second) = drawn(Some(first)) else { return Some(first) };
    let (one, other) = (candidate(first), candidate(second));
    // in_flight / weight, without a division.
    let load = |of: Candidate<'_>, by: Candidate<'_>| u64::from(of.in_flight) * u64::from(by.weight);
    Some(if load(other, one) < load(one, other) { second } else { first })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Servers(Vec<(u32, Cell<u32>, Cell<i64>)>, fastrand::Rng);

    impl Servers {
        fn new(weights: &[u32]) -> Servers {
            let server = |weight: &u32| (*weight, Cell::new(0), Cell::new(0));
            Servers(weights.iter().map(server).collect(), fastrand::Rng::with_seed(7))
        }

        fn pick(&mut self, balance: Balance) -> Option<usize> {
            let Servers(servers, random) = self;
            let candidate = |index: usize| {
                let (weight, in_flight, credit) = &servers[index];
                Candidate { weight: *weight, in_flight: in_flight.get(), credit }
            };
            pick(balance, servers.len(), candidate, |below| random.u64(..below))
        }

        fn shares(&mut self, balance: Balance, turns: usize) -> Vec<usize> {
            let mut shares = vec![0; self.0.len()];
            (0..turns).for_each(|_| shares[self.pick(balance).expect("one")] += 1);
            shares
        }
    }

    #[test]
    fn round_robin_is_exact_over_a_cycle_and_smooth_within() {
        let mut servers = Servers::new(&[5, 1, 1]);
        let turns: Vec<usize> = (0..7).map(|_| servers.pick(Balance::RoundRobin).expect("one")).collect();
        assert_eq!(turns.iter().filter(|turn| **turn == 0).count(), 5);
        assert!(turns.windows(4).all(|four| four != [0, 0, 0, 0]), "the heavy one does not hog: {turns:?}");
    }

    #[test]
    fn of_two_idle_servers_each_has_its_weight() {
        let shares = Servers::new(&[3, 1]).shares(Balance::LeastRequests, 4_000);
        assert!((2_900..3_100).contains(&shares[0]), "{shares:?}");
    }

    #[test]
    fn a_busy_server_is_passed_by() {
        let mut servers = Servers::new(&[1, 1, 1]);
        servers.0[0].1.set(10);
        let shares = servers.shares(Balance::LeastRequests, 3_000);
        assert_eq!(shares[0], 0, "whoever is drawn beside it has less to do");
        assert!((1_400..1_600).contains(&shares[1]), "{shares:?}");
    }

    #[test]
    fn load_is_counted_by_weight() {
        let mut servers = Servers::new(&[4, 1]);
        servers.0[0].1.set(3);
        servers.0[1].1.set(1);
        assert_eq!(servers.shares(Balance::LeastRequests, 100), [100, 0], "3/4 is less than 1/1");
    }

    /// Ten requests leave at random for each ten that come: the longest queue of a hundred servers stays short.
    #[test]
    fn nobody_drowns() {
        let mut servers = Servers::new(&[1; 100]);
        for _ in 0..1_000 {
            let chosen = servers.pick(Balance::LeastRequests).expect("one");
            servers.0[chosen].1.set(servers.0[chosen].1.get() + 1);
        }
        let longest = servers.0.iter().map(|server| server.1.get()).max();
        assert!(longest <= Some(14), "{longest:?} where ten is fair; chance alone makes about twenty");
    }

    #[test]
    fn who_has_no_weight_is_never_taken() {
        for balance in [Balance::RoundRobin, Balance::LeastRequests] {
            assert_eq!(Servers::new(&[0, 1, 0]).shares(balance, 10), [0, 10, 0]);
            assert_eq!(Servers::new(&[0, 0]).pick(balance), None);
            assert_eq!(Servers::new(&[]).pick(balance), None);
        }
    }
}
