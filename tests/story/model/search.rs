//! Breadth first through everything that can happen, so that the way to a broken promise is the shortest there is.

use std::collections::{HashMap, VecDeque};

/// Who makes a move: what the machine does by itself must lead to an end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Person,
    Machine,
    Fault,
}

/// Something that moves.
pub(super) trait Model {
    type World: Clone;

    fn first(&self) -> Self::World;

    /// Two worlds of one key have the same future.
    fn key(&self, world: &Self::World) -> String;

    /// Every move there is, named.
    fn moves(&self, world: &Self::World) -> Vec<(String, By, Self::World)>;

    /// # Errors
    /// The promise that this world breaks.
    fn check(&self, world: &Self::World) -> Result<(), String>;

    /// # Errors
    /// The promise that this move breaks.
    fn check_move(&self, before: &Self::World, after: &Self::World, by: By) -> Result<(), String>;

    /// Nothing is owed any more.
    fn is_over(&self, world: &Self::World) -> bool;

    /// Over, or a person's turn.
    fn is_at_rest(&self, world: &Self::World) -> bool;
}

/// How much there was to see.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    pub(super) worlds: usize,
    pub(super) moves: usize,
    pub(super) over: usize,
}

/// A world that was visited: how one came here, and what was true of it.
struct Visit {
    from: Option<(usize, String)>,
    key: String,
    over: bool,
    rest: bool,
}

/// Visits every world that can be reached.
///
/// # Errors
/// The broken promise, and the shortest way to it.
pub(super) fn explore<M: Model>(model: &M) -> Result<Seen, String> {
    let mut visits: Vec<Visit> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut edges: Vec<(usize, usize, By)> = Vec::new();
    let mut waiting = VecDeque::new();
    let visit = |world: &M::World, key: &str, from| Visit {
        from,
        key: key.to_owned(),
        over: model.is_over(world),
        rest: model.is_at_rest(world),
    };
    let first = model.first();
    let key = model.key(&first);
    visits.push(visit(&first, &key, None));
    known.insert(key, 0);
    waiting.push_back((0, first));
    while let Some((at, world)) = waiting.pop_front() {
        for (name, by, next) in model.moves(&world) {
            let key = model.key(&next);
            let is_new = !known.contains_key(&key);
            let checked = model.check_move(&world, &next, by);
            if let Err(broken) = checked.and_then(|()| if is_new { model.check(&next) } else { Ok(()) }) {
                return Err(format!("{broken}\n{}", way(&visits, at, Some((&name, &key)))));
            }
            let to = match known.get(&key) {
                Some(to) => *to,
                None => {
                    let to = visits.len();
                    visits.push(visit(&next, &key, Some((at, name))));
                    known.insert(key, to);
                    waiting.push_back((to, next));
                    to
                }
            };
            edges.push((at, to, by));
        }
    }
    all_reach(&visits, &edges, |visit| visit.over, |_| true)
        .map_err(|at| format!("no way leads to an end any more\n{}", way(&visits, at, None)))?;
    all_reach(&visits, &edges, |visit| visit.rest, |by| by == By::Machine)
        .map_err(|at| format!("the machine alone does not get any further\n{}", way(&visits, at, None)))?;
    let over = visits.iter().filter(|visit| visit.over).count();
    Ok(Seen { worlds: visits.len(), moves: edges.len(), over })
}

/// Whether every world can reach one that is `goal`, by the moves of those who count. The first that cannot, else.
fn all_reach(
    visits: &[Visit],
    edges: &[(usize, usize, By)],
    goal: impl Fn(&Visit) -> bool,
    counts: impl Fn(By) -> bool,
) -> Result<(), usize> {
    let mut back: Vec<Vec<usize>> = vec![Vec::new(); visits.len()];
    for (from, to, by) in edges {
        if counts(*by) {
            back[*to].push(*from);
        }
    }
    let mut reaches: Vec<bool> = visits.iter().map(goal).collect();
    let mut waiting: Vec<usize> = (0..visits.len()).filter(|at| reaches[*at]).collect();
    while let Some(at) = waiting.pop() {
        for from in &back[at] {
            if !std::mem::replace(&mut reaches[*from], true) {
                waiting.push(*from);
            }
        }
    }
    reaches.iter().position(|reaches| !reaches).map_or(Ok(()), Err)
}

/// The moves from the beginning to here, a line each.
fn way(visits: &[Visit], to: usize, last: Option<(&str, &str)>) -> String {
    let mut lines: Vec<String> = last.into_iter().map(|(name, key)| format!("{name:<40} {key}")).collect();
    let mut at = to;
    while let Some((from, name)) = &visits[at].from {
        lines.push(format!("{name:<40} {}", visits[at].key));
        at = *from;
    }
    lines.push(format!("{:<40} {}", "it begins", visits[at].key));
    lines.reverse();
    lines.join("\n")
}
