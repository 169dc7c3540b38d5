//! One arena for all activations: values that are alive at the same time lie apart, all others
//! share memory.

/// Gives storages that are alive at the same time different places, the largest first, each the
/// lowest that is free. Returns the size.
pub(crate) fn arrange(mut roots: Vec<usize>, lives: &[Option<[usize; 2]>], size: impl Fn(usize) -> usize, offsets: &mut [usize]) -> usize {
    roots.sort_by_key(|&v| std::cmp::Reverse(size(v)));
    let mut placed: Vec<usize> = vec![];
    let mut total = 0;
    for v in roots {
        let Some(own) = lives[v] else { continue };
        let overlaps = |u: &&usize| lives[**u].is_some_and(|other| other[0] <= own[1] && own[0] <= other[1]);
        let mut taken: Vec<[usize; 2]> = placed.iter().filter(overlaps).map(|&u| [offsets[u], offsets[u] + size(u)]).collect();
        taken.sort_unstable();
        let mut at = 0;
        for [start, end] in taken {
            if at + size(v) <= start {
                break;
            }
            at = at.max(end);
        }
        offsets[v] = at;
        total = total.max(at + size(v));
        placed.push(v);
    }
    total
}
