//! How many had read a broadcast at which moment: a curve of few points, however long it is followed.

use std::time::Duration;

use super::ids::Timestamp;

/// Points that are kept of one broadcast: more than a card is wide.
pub const POINTS_MAX: usize = 60;

/// Points that lie closer together are one: batches are asked about one after the other, and one answer of many is no
/// point of its own.
const APART: Duration = Duration::from_secs(30);

/// What was known at one moment, over all batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    pub at: Timestamp,
    pub reached: u64,
    pub read: u64,
}

/// The curve with one more point, the latest. What is left out for it, if anything, is the point that bends the curve
/// least.
pub fn with(mut curve: Vec<Point>, point: Point) -> Vec<Point> {
    // The last point follows the present until it lies far enough from the one before it.
    if let [.., before, last] = curve.as_slice()
        && last.at.since(before.at) < APART
    {
        curve.pop();
    }
    // A clock that has been set back makes no point lie before another.
    curve.retain(|earlier| earlier.at < point.at);
    curve.push(point);
    thinned(curve, POINTS_MAX)
}

/// At most so many points of a curve, its first and its last among them.
pub fn thinned(mut curve: Vec<Point>, most: usize) -> Vec<Point> {
    while curve.len() > most.max(2) {
        let bends = curve.windows(3).enumerate().map(|(place, three)| (bend(three), place + 1));
        let Some((_, place)) = bends.min() else { break };
        curve.remove(place);
    }
    curve
}

/// Twice the area of the triangle of three points: how much of the curve goes with the one in the middle.
fn bend(three: &[Point]) -> u128 {
    let [one, two, three] = three else { return 0 };
    let x = |point: &Point| i128::from(point.at.0);
    let y = |point: &Point| i128::from(point.read);
    let area = (x(two) - x(one)) * (y(three) - y(one)) - (x(three) - x(one)) * (y(two) - y(one));
    area.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(second: i64, read: u64) -> Point {
        Point { at: Timestamp(second * 1000), reached: 1000, read }
    }

    #[test]
    fn a_long_curve_keeps_its_ends_and_its_bends() {
        // Fast at first, then hardly at all.
        let read =
            |minute: i64| if minute < 20 { 30 * minute.unsigned_abs() } else { 600 + minute.unsigned_abs() / 100 };
        let curve = (0..2000).fold(Vec::new(), |curve, minute| with(curve, point(minute * 60, read(minute))));
        assert_eq!(curve.len(), POINTS_MAX);
        assert_eq!((curve[0], curve[POINTS_MAX - 1]), (point(0, 0), point(1999 * 60, 619)));
        assert!(curve.windows(2).all(|two| two[0].at < two[1].at && two[0].read <= two[1].read));
        assert!(curve.iter().any(|point| point.at.0 == 20 * 60_000 && point.read == 600), "the bend is gone");
        assert_eq!(thinned(curve, 12).len(), 12);
    }

    #[test]
    fn many_answers_within_a_moment_are_one_point() {
        let curve = (0..100).fold(vec![point(0, 0)], |curve, n| with(curve, point(60 + n / 10, n.unsigned_abs())));
        let last = [curve[0], curve[curve.len() - 1]];
        assert_eq!((curve.len(), last), (3, [point(0, 0), point(69, 99)]), "{curve:?}");
    }

    #[test]
    fn a_clock_set_back_makes_no_knot() {
        let curve = with(vec![point(0, 0), point(100, 5), point(200, 6)], point(150, 7));
        assert_eq!(curve, [point(0, 0), point(100, 5), point(150, 7)]);
    }
}
