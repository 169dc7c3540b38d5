//! CIE Lab to sRGB by the table of colours that Pillow's colour management (Little CMS) goes by: a
//! grid of 33 points an axis, tetrahedra between them.

use std::sync::LazyLock;

/// Points of the grid along each axis.
const POINTS: usize = 33;
/// White of D50.
const WHITE: [f64; 3] = [0.9642, 1.0, 0.8249];
/// XYZ of sRGB's red, green and blue, adapted to D50, as Little CMS rounds them.
const PRIMARIES: [[f64; 3]; 3] = [
    [0.436_041_251_616_050_84, 0.385_112_910_798_155_7, 0.143_045_837_585_793_62],
    [0.222_484_540_229_477_42, 0.716_905_078_608_457_9, 0.060_610_381_162_065_304],
    [0.013_920_187_471_375_375, 0.097_067_238_697_124_07, 0.713_912_573_831_501],
];

/// Colours at the points of the grid, in 16 bits.
static GRID: LazyLock<Vec<[i64; 3]>> = LazyLock::new(|| {
    let of_xyz = inverse(PRIMARIES);
    let place = |i: usize| (i as f64 * 65535.0 / (POINTS - 1) as f64 + 0.5).floor();
    let point = |i: usize| {
        let [l, a, b] = [i / (POINTS * POINTS), i / POINTS % POINTS, i % POINTS].map(place);
        srgb(of_xyz, l / 65535.0 * 100.0, a / 257.0 - 128.0, b / 257.0 - 128.0).map(|v| (v * 65535.0 + 0.5) as i64)
    };
    (0..POINTS.pow(3)).map(point).collect()
});

/// sRGB of lightness (0 to 255) and two axes of colour (signed bytes).
pub(super) fn rgb([l, a, b]: [u8; 3]) -> [u8; 3] {
    // Places in the grid, in 65536ths.
    let places = [l, a ^ 0x80, b ^ 0x80].map(|v| {
        let scaled = usize::from(v) * 257 * (POINTS - 1);
        scaled + (scaled + 0x7FFF) / 0xFFFF
    });
    let low = places.map(|place| place >> 16);
    let rest = places.map(|place| (place & 0xFFFF) as i64);
    let at = |corner: [usize; 3]| GRID[(corner[0] * POINTS + corner[1]) * POINTS + corner[2]];
    // From the low corner to the high one, along the axis with the largest rest first.
    let mut axes = [0, 1, 2];
    axes.sort_by_key(|&axis| std::cmp::Reverse(rest[axis]));
    let start = at(low);
    let mut sum = [0x8001_i64; 3];
    let mut corner = low;
    for axis in axes {
        let before = at(corner);
        corner[axis] = (corner[axis] + 1).min(POINTS - 1);
        let after = at(corner);
        (0..3).for_each(|c| sum[c] += (after[c] - before[c]) * rest[axis]);
    }
    std::array::from_fn(|c| {
        let wide = start[c] + ((sum[c] + (sum[c] >> 16)) >> 16);
        ((wide * 65281 + (1 << 23)) >> 24) as u8
    })
}

/// sRGB between 0 and 1.
fn srgb(of_xyz: [[f64; 3]; 3], l: f64, a: f64, b: f64) -> [f64; 3] {
    let y = (l + 16.0) / 116.0;
    let cube = |t: f64| if t <= 24.0 / 116.0 { (108.0 / 841.0) * (t - 16.0 / 116.0) } else { t * t * t };
    let xyz = [cube(y + 0.002 * a) * WHITE[0], cube(y) * WHITE[1], cube(y - 0.005 * b) * WHITE[2]];
    of_xyz.map(|row| {
        let linear = (row[0] * xyz[0] + row[1] * xyz[1] + row[2] * xyz[2]).clamp(0.0, 1.0);
        if linear <= 0.003_130_8 { 12.92 * linear } else { 1.055 * libm::pow(linear, 1.0 / 2.4) - 0.055 }
    })
}

/// The inverse of a matrix, by cofactors.
fn inverse(m: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    let cofactor = |r: usize, c: usize| {
        let [(r1, r2), (c1, c2)] = [((r + 1) % 3, (r + 2) % 3), ((c + 1) % 3, (c + 2) % 3)];
        m[r1][c1] * m[r2][c2] - m[r1][c2] * m[r2][c1]
    };
    let determinant: f64 = (0..3).map(|c| m[0][c] * cofactor(0, c)).sum();
    std::array::from_fn(|r| std::array::from_fn(|c| cofactor(c, r) / determinant))
}
