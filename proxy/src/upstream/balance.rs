//! Which server of an upstream: weighted round robin, or the fewest requests under way.

use config::snapshot::Balance;

/// What the choice looks at.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Relative share, at least 1.
    pub weight: u16,
    /// Requests under way on this worker.
    pub in_flight: u32,
    /// Smooth round robin's running credit.
    pub credit: i64,
}

/// The index of the server to use and the credits after the choice; `None` if there is none. `avoid` is passed over where
/// another one exists: it just failed.
pub fn pick(balance: Balance, candidates: &mut [Candidate], avoid: Option<usize>) -> Option<usize> {
    let avoid = avoid.filter(|_| candidates.len() > 1);
    match balance {
        Balance::RoundRobin => round_robin(candidates, avoid),
        Balance::LeastRequests => least_requests(candidates, avoid),
    }
}

/// Smooth weighted round robin: everybody gains its weight, the richest is taken and pays the total. Spreads the turns of a
/// heavy server evenly between those of the others.
fn round_robin(candidates: &mut [Candidate], avoid: Option<usize>) -> Option<usize> {
    let mut total = 0;
    let mut best: Option<usize> = None;
    for index in (0..candidates.len()).filter(|index| Some(*index) != avoid) {
        let weight = i64::from(candidates[index].weight.max(1));
        candidates[index].credit += weight;
        total += weight;
        if best.is_none_or(|best| candidates[index].credit > candidates[best].credit) {
            best = Some(index);
        }
    }
    candidates[best?].credit -= total;
    best
}

/// Fewest requests per weight; among equals the one that round robin would take, so that idle servers share.
fn least_requests(candidates: &mut [Candidate], avoid: Option<usize>) -> Option<usize> {
    let load = |candidate: &Candidate| (u64::from(candidate.in_flight) << 16) / u64::from(candidate.weight.max(1));
    let usable = || (0..candidates.len()).filter(|index| Some(*index) != avoid);
    let least = usable().map(|index| load(&candidates[index])).min()?;
    let equal: Vec<usize> = usable().filter(|index| load(&candidates[*index]) == least).collect();
    let mut few: Vec<Candidate> = equal.iter().map(|index| candidates[*index]).collect();
    let chosen = equal[round_robin(&mut few, None)?];
    equal.iter().zip(few).for_each(|(index, after)| candidates[*index].credit = after.credit);
    Some(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(weights: &[u16]) -> Vec<Candidate> {
        weights.iter().map(|weight| Candidate { weight: *weight, in_flight: 0, credit: 0 }).collect()
    }

    #[test]
    fn round_robin_is_exact_over_a_cycle_and_smooth_within() {
        let mut candidates = servers(&[5, 1, 1]);
        let turns: Vec<usize> =
            (0..7).map(|_| pick(Balance::RoundRobin, &mut candidates, None).expect("one")).collect();
        assert_eq!(turns.iter().filter(|turn| **turn == 0).count(), 5);
        assert!(turns.windows(4).all(|four| four != [0, 0, 0, 0]), "the heavy one does not hog: {turns:?}");
    }

    #[test]
    fn least_requests_takes_the_idle_one_and_shares_among_equals() {
        let mut candidates = servers(&[1, 1, 1]);
        candidates[0].in_flight = 1;
        let mut seen = [0; 3];
        for _ in 0..10 {
            seen[pick(Balance::LeastRequests, &mut candidates, None).expect("one")] += 1;
        }
        assert_eq!(seen, [0, 5, 5]);
    }

    #[test]
    fn least_requests_minds_weights() {
        let mut candidates = servers(&[4, 1]);
        candidates[0].in_flight = 3;
        candidates[1].in_flight = 1;
        assert_eq!(pick(Balance::LeastRequests, &mut candidates, None), Some(0), "3/4 is less than 1/1");
    }

    #[test]
    fn the_avoided_one_is_taken_only_when_it_is_alone() {
        for balance in [Balance::RoundRobin, Balance::LeastRequests] {
            assert_eq!(pick(balance, &mut servers(&[1, 1]), Some(0)), Some(1));
            assert_eq!(pick(balance, &mut servers(&[1]), Some(0)), Some(0));
            assert_eq!(pick(balance, &mut [], None), None);
        }
    }
}
