import assert from "node:assert/strict"
import { afterEach, mock, test } from "node:test"
import { Threadless, aroundGivingBack, launchOn } from "./threadless.js"

/** How a graph's branches pass from worker to worker, step by step in one thread, as in handover.test.ts. */

afterEach(() => mock.restoreAll())

test("launches just before and just after a worker leaves a branch's stream run one after the other", () => {
  const bench = new Threadless()
  const graph = bench.capture((main, fork) => {
    launchOn(main, 1)
    const aux = fork()
    aux.waitFor(main.record())
    launchOn(aux, 2)
    main.waitFor(aux.record())
    launchOn(main, 3)
    aux.waitFor(main.record())
    launchOn(aux, 4)
    main.waitFor(aux.record())
    launchOn(main, 5)
  })
  const stream = bench.createStream()
  aroundGivingBack(
    () => bench.made[0]?.slot.block,
    () => bench.launch(graph, stream),
  )
  bench.launch(graph, stream)
  bench.work()
  assert.deepEqual(bench.run, [1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5])
  assert.ok(stream.slot.isIdle())
})
