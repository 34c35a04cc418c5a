/**
 * How many steps each point of the complex plane takes to leave the Mandelbrot set, for some rows of a picture. Two
 * points at a time, in 128-bit SIMD.
 *
 * The device memory is the module's memory, so `steps` is a plain address. The launch's grid and block would follow the
 * arguments; a kernel that does not need them leaves them out.
 */
export function mandelbrot(width: i32, height: i32, firstRow: i32, rows: i32, limit: i32, steps: usize): void {
  for (let row = 0; row < rows; row++) {
    const y0 = f64x2.splat(<f64>(firstRow + row) * (2.4 / <f64>height) - 1.2)
    for (let column = 0; column < width; column += 2) {
      const left = <f64>column * (3.2 / <f64>width) - 2.2
      const right = <f64>(column + 1) * (3.2 / <f64>width) - 2.2
      const counts = stepsOfTwo(f64x2.replace_lane(f64x2.splat(left), 1, right), y0, limit)
      const at = steps + row * width + column
      store<u8>(at, <u8>i64x2.extract_lane(counts, 0))
      if (column + 1 < width) store<u8>(at + 1, <u8>i64x2.extract_lane(counts, 1))
    }
  }
}

function stepsOfTwo(x0: v128, y0: v128, limit: i32): v128 {
  let x = f64x2.splat(0)
  let y = f64x2.splat(0)
  let counts = i64x2.splat(0)
  for (let step = 0; step < limit; step++) {
    const xx = f64x2.mul(x, x)
    const yy = f64x2.mul(y, y)
    const inside = f64x2.le(f64x2.add(xx, yy), f64x2.splat(4))
    if (!v128.any_true(inside)) break
    counts = i64x2.sub(counts, inside) // A true lane is -1.
    const xy = f64x2.mul(x, y)
    y = f64x2.add(f64x2.add(xy, xy), y0)
    x = f64x2.add(f64x2.sub(xx, yy), x0)
  }
  return counts
}
