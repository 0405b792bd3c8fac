//! Which server of an upstream is asked.

mod support;
#[path = "support/wild.rs"]
mod wild;

use support::gateway::one_way;
use support::{Backend, Driver, Gateway, eventually, on_both_drivers};
use wild::Wild;

const GET: &str = "GET /dev/x HTTP/1.1\r\nHost: a\r\n\r\n";

fn gateway(upstream: &str, driver: Driver) -> Gateway {
    Gateway::start(&one_way("", upstream), driver)
}

#[test]
fn servers_take_turns_by_weight() {
    on_both_drivers(|driver| {
        for weights in [[1, 1, 1], [3, 2, 1], [1, 10, 1]] {
            let backends = [Backend::echo(), Backend::echo(), Backend::echo()];
            let servers: Vec<String> = backends
                .iter()
                .zip(weights)
                .map(|(backend, weight)| format!("{{address: \"{}\", weight: {weight}}}", backend.address()))
                .collect();
            let gateway = gateway(&format!("{{servers: [{}]}}", servers.join(", ")), driver);
            let mut client = gateway.client();
            let cycle: usize = weights.iter().sum();
            for _ in 0..5 * cycle {
                client.exchange(GET).expect_status(200);
            }
            let shares = backends.each_ref().map(Backend::requests);
            assert_eq!(shares, weights.map(|weight| 5 * weight));
            assert_eq!(backends.each_ref().map(Backend::connections), [1; 3], "each has a pool of its own");
        }
    });
}

#[test]
fn the_server_with_the_least_to_do_is_asked() {
    on_both_drivers(|driver| {
        let (slow, go) = Wild::patient("slow");
        let quick = Backend::answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nquick");
        let servers =
            format!("{{servers: [\"{}\", \"{}\"], balance: least_requests}}", slow.address(), quick.address());
        let gateway = gateway(&servers, driver);
        // One of the first requests meets the slow server and stays there; then all others pass it by.
        let mut held = gateway.client();
        let mut client = gateway.client();
        let mut sent = 0;
        loop {
            held.send(GET);
            sent += 1;
            eventually("the request has arrived somewhere", || slow.connections() + quick.requests() == sent);
            if slow.connections() == 1 {
                break;
            }
            held.read_response().expect_status(200);
        }
        let before = quick.requests();
        for _ in 0..20 {
            assert_eq!(client.exchange(GET).expect_status(200).text(), "quick");
        }
        assert_eq!(quick.requests(), before + 20);
        go.send(()).expect("the server waits");
        assert_eq!(held.read_response().expect_status(200).text(), "slow");
    });
}
