import assert from "node:assert/strict"
import { test } from "node:test"
import { ControlMemory } from "../../../src/host/control/control.js"
import { KERNEL, WORKER_WORDS } from "../../../src/host/control/layout.js"
import { RunMark } from "../../../src/host/control/run-mark.js"
import { LaunchWatch, type Overdue } from "../../../src/host/threads/launch-watch.js"

const long = 1e9

/** A watch over one worker, whose marks the test sets. Only explicit looks find anything: the event loop never turns. */
function watched(limits: { launch: number; load: number }) {
  const control = ControlMemory.create()
  const worker = control.reserve(WORKER_WORDS)
  const found: Overdue[] = []
  let workers: number[] | undefined = [worker]
  const watch = new LaunchWatch(
    control,
    limits,
    () => workers,
    (overdue) => found.push(overdue),
  )
  const end = (): void => {
    workers = undefined
    watch.look()
  }
  return {
    watch,
    mark: new RunMark(control, worker),
    found,
    end,
    run: (id: number) => (control.words[worker + KERNEL] = id),
  }
}

function elapse(milliseconds: number): void {
  const end = performance.now() + milliseconds
  while (performance.now() < end);
}

test("a launch that two looks see, at least the limit apart, is overdue, with its kernel and stream", () => {
  const { watch, mark, found, run, end } = watched({ launch: 5, load: long })
  run(7)
  mark.begin(640)
  watch.look()
  assert.deepEqual(found, [])
  elapse(6)
  watch.look()
  assert.deepEqual(found, [{ kernel: 7, stream: 640 }])
  end()
})

test("launches that follow each other are not one long launch, and an idle worker is never overdue", () => {
  const { watch, mark, found, end } = watched({ launch: 5, load: long })
  for (let round = 0; round < 3; round++) {
    mark.begin(640)
    watch.look()
    elapse(6)
    mark.end()
    if (round === 1) watch.look()
    elapse(6)
  }
  watch.look()
  elapse(6)
  watch.look()
  assert.deepEqual(found, [])
  end()
})

test("loading a kernel has a limit of its own", () => {
  const [early, late] = [watched({ launch: 5, load: long }), watched({ launch: long, load: 5 })]
  for (const { watch, mark, run } of [early, late]) {
    run(3)
    mark.begin(0)
    watch.look()
    elapse(6)
    watch.look()
  }
  assert.deepEqual(early.found, [])
  assert.deepEqual(late.found, [{ kernel: 3, stream: 0 }])
  early.end()
  late.end()
})
