import { autoParallel, type DeviceArray, inOrder, type PlacementReport } from "../../src/index.js"

/** What the compiler accepts and refuses. Never run. */
export function types(x: DeviceArray<"float32">, anything: () => any, unknown: () => unknown): void {
  const result: DeviceArray<"float32"> = autoParallel(() => x)
  const both: readonly [number, string] = autoParallel(() => [1, "two"] as const, { streams: 4, workspaces: 3 })
  autoParallel(anything)
  autoParallel(unknown)
  const one: number = inOrder(() => 1)
  autoParallel(() => {}, {
    explain: (placement: PlacementReport) => placement.operations.map(({ stream }) => stream + 1),
  })

  // @ts-expect-error an async function
  void autoParallel(async () => {})
  // @ts-expect-error a function that returns a promise
  void autoParallel(() => x.read())
  // @ts-expect-error a function that may return a promise
  void autoParallel(() => (x.disposed ? x.read() : 5))
  // @ts-expect-error an async function
  void inOrder(async () => {})
  // @ts-expect-error an unknown option
  autoParallel(() => {}, { stream: 4 })
  // @ts-expect-error no function
  autoParallel(5)
  void [result, both, one]
}
