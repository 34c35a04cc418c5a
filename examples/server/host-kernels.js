/** The kernels of work.ts for the host device. The benchmark also runs them inline. */

/** y = x, after `rounds` multiplications and additions of one. */
export function iterate(launch, n, rounds, factor, x, y) {
  for (let i = 0; i < n; i++) {
    let value = x[i]
    if (!Number.isFinite(value)) throw new RangeError(`number ${i} is ${value}`)
    for (let round = 0; round < rounds; round++) value = Math.fround(value * factor + 1)
    y[i] = value
  }
}

/** y += x. */
export function add(launch, n, x, y) {
  for (let i = 0; i < n; i++) y[i] += x[i]
}
