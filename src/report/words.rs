//! Durations as people say them.

/// Seconds as people say them: `40 ms` below a tenth of a second, `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`.
pub fn seconds(s: f64) -> String {
    match s.round() as u64 {
        _ if s < 0.095 => format!("{:.0} ms", s * 1000.0),
        _ if s < 9.95 => format!("{s:.1} s"),
        t if t < 60 => format!("{t} s"),
        t if t < 3600 => format!("{} min {} s", t / 60, t % 60),
        t => format!("{} h {} min", t / 3600, t % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_say_them() {
        for (s, words) in [(0.0124, "12 ms"), (0.44, "0.4 s"), (12.4, "12 s"), (200.2, "3 min 20 s"), (7500.0, "2 h 5 min")] {
            assert_eq!(seconds(s), words);
        }
    }
}
