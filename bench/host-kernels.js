/** The kernels of kernels.ts for the host device. */

export function increment(launch, counter) {
  counter[0]++
}

export function touch(launch, at, factor, source, target) {
  target[at] = factor * source[at]
}

export function spinFor(launch, milliseconds) {
  const end = performance.now() + milliseconds
  while (performance.now() < end);
}

export function work(launch, steps, result) {
  let value = 1
  for (let step = 0; step < steps; step++) value = Math.sqrt(value + step)
  result[0] = value
}
