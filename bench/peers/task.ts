/** The pools' task: the same as the kernel `increment`, on the worker's own memory. */

const counter = new Int32Array(1)

export default function increment(): void {
  counter[0] = (counter[0] ?? 0) + 1
}
