/** The task of the pools: what the kernel `increment` does, on memory of the worker's own. */

const counter = new Int32Array(1)

export default function increment(): void {
  counter[0] = (counter[0] ?? 0) + 1
}
