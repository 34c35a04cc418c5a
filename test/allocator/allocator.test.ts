import assert from "node:assert/strict"
import { test } from "node:test"
import { array, assert as check, constant, integer, nat, oneof, property, record } from "fast-check"
import type { OrderMark } from "../../src/driver/memory.js"
import { Allocator, type MemorySource, type Stretch } from "../../src/allocator/allocator.js"
import type { MemoryCount } from "../../src/allocator/memory-count.js"
import type { Progress } from "../../src/allocator/pending-frees.js"
import { OutOfMemoryError } from "../../src/common/errors.js"
import { never, thrownBy } from "../host/device.js"

class FakeStream implements Progress {
  passed = 0
  tail = 0

  hasPassed(position: number): boolean {
    return position <= this.passed
  }
}

/** One growing memory whose first 256 bytes are never handed out. */
class FakeMemory implements MemorySource {
  readonly isContiguous = true

  constructor(
    public byteLength: number,
    readonly limit: number,
  ) {}

  get first(): Stretch {
    return { address: 256, byteLength: this.byteLength - 256 }
  }

  extend(byteLength: number, room: number): Stretch | undefined {
    const before = this.byteLength
    const needed = before + byteLength - room
    if (needed > this.limit) return undefined
    const generous = Math.max(needed, Math.min(this.limit, 2 * before))
    this.byteLength = Math.ceil(generous / 65536) * 65536
    return { address: before, byteLength: this.byteLength - before }
  }

  outOfMemory(byteLength: number, { used }: MemoryCount): OutOfMemoryError {
    return new OutOfMemoryError(`${byteLength} of ${used}`)
  }
}

function allocatorOf(memory: FakeMemory): Allocator<FakeStream> {
  return new Allocator<FakeStream>(memory, undefined, memory.first)
}

const mark: OrderMark = { slot: 0, tick: 1 }

test("addresses are multiples of 256, never 0, and disjoint", () => {
  const allocator = allocatorOf(new FakeMemory(1 << 20, 1 << 24))
  const stream = new FakeStream()
  const starts = [1, 255, 256, 257, 70_000].map((size) => allocator.allocate(size, stream, never))
  assert.deepEqual(starts, [256, 512, 768, 1024, 1536])
})

test("memory freed on a stream is reused by it at once, by others once the free is over or ordered before them", () => {
  const allocator = allocatorOf(new FakeMemory(1 << 20, 1 << 24))
  const stream = new FakeStream()
  const other = new FakeStream()
  const address = allocator.allocate(4096, stream, never)
  stream.tail = 5
  allocator.release(address, stream, 5, mark)
  const elsewhere = allocator.allocate(4096, other, never)
  assert.notEqual(elsewhere, address)
  assert.equal(allocator.allocate(4096, stream, never), address)
  allocator.release(address, stream, 5, mark)
  const asked: OrderMark[] = []
  const large = allocator.allocate(1 << 20, other, (known) => asked.push(known) > 0)
  assert.notEqual(large, address)
  stream.passed = 5
  assert.equal(allocator.allocate(4096, other, never), address)
})

test("a stream ordered after a free may get the memory before the free is over", () => {
  const allocator = allocatorOf(new FakeMemory(65536, 65536))
  const stream = new FakeStream()
  const other = new FakeStream()
  const address = allocator.allocate(60_000, stream, never)
  allocator.release(address, stream, 9, mark)
  assert.ok(thrownBy(() => allocator.allocate(60_000, other, never)) instanceof OutOfMemoryError)
  assert.equal(
    allocator.allocate(60_000, other, (known) => known === mark),
    address,
  )
})

test("allocations are counted, and one that fails throws the source's error", () => {
  const allocator = allocatorOf(new FakeMemory(65536, 131072))
  const stream = new FakeStream()
  allocator.allocate(1000, stream, never)
  const error = thrownBy(() => allocator.allocate(200_000, stream, never))
  assert.ok(error instanceof OutOfMemoryError)
  assert.equal(error.message, "200000 of 1000")
  allocator.allocate(131072 - 256 - 1024, stream, never)
  const { used, peak, other } = allocator.count
  assert.deepEqual([used, peak, other], [130_792, 130_792, 0])
})

test("a loop that allocates and frees out of order does not grow", () => {
  const memory = new FakeMemory(65536, 1 << 30)
  const allocator = allocatorOf(memory)
  const streams = Array.from({ length: 8 }, () => new FakeStream())
  const held: { address: number; stream: FakeStream }[] = []
  let grown = 0
  for (let step = 0; step < 200_000; step++) {
    const stream = streams[(step * 5) % 8] ?? new FakeStream()
    const size = 256 * (1 + ((step * 7919) % 97))
    held.push({ address: allocator.allocate(size, stream, never), stream })
    stream.tail++
    if (held.length > 64) {
      const [gone] = held.splice((step * 31) % 64, 1)
      if (gone !== undefined) allocator.release(gone.address, gone.stream, gone.stream.tail, mark)
    }
    if (step % 3 === 0) stream.passed = stream.tail - 2
    if (step === 20_000) grown = memory.byteLength
  }
  assert.equal(memory.byteLength, grown)
  for (const { address } of held) allocator.releaseNow(address)
  for (const stream of streams) stream.passed = Infinity
  allocator.harvest()
  // All blocks have merged again: one block takes everything.
  const all = allocator.allocate(memory.byteLength - 256, new FakeStream(), never)
  assert.equal(all, 256)
  assert.equal(memory.byteLength, grown)
})

test("an allocation checks few of very many pending blocks", () => {
  const allocator = allocatorOf(new FakeMemory(65536, 2 ** 32))
  const streams = Array.from({ length: 500 }, () => new FakeStream())
  for (const stream of streams) {
    const addresses = Array.from({ length: 20 }, () => allocator.allocate(4096, stream, never))
    for (const address of addresses) allocator.release(address, stream, ++stream.tail, mark)
  }
  let asked = 0
  for (let step = 0; step < 100; step++) {
    allocator.allocate(2 ** 20, new FakeStream(), () => {
      asked++
      return false
    })
  }
  assert.ok(asked <= 100 * 17)
})

type Step =
  | { readonly kind: "allocate"; readonly stream: number; readonly size: number }
  | { readonly kind: "free"; readonly stream: number; readonly which: number }
  | { readonly kind: "advance"; readonly stream: number }
  | { readonly kind: "pinned"; readonly size: number }

const steps = array(
  oneof(
    {
      weight: 4,
      arbitrary: record({
        kind: constant("allocate" as const),
        stream: nat(2),
        size: integer({ min: 1, max: 40_000 }),
      }),
    },
    { weight: 4, arbitrary: record({ kind: constant("free" as const), stream: nat(2), which: nat(50) }) },
    { weight: 1, arbitrary: record({ kind: constant("advance" as const), stream: nat(2) }) },
    { weight: 1, arbitrary: record({ kind: constant("pinned" as const), size: integer({ min: 1, max: 9000 }) }) },
  ),
  { maxLength: 150 },
)

/** The parts of a range on both sides of another one. */
function withoutRange<T extends { address: number; size: number }>(stretch: T, begin: number, end: number): T[] {
  const [first, last] = [stretch.address, stretch.address + stretch.size]
  if (last <= begin || end <= first) return [stretch]
  const sides = [
    { ...stretch, size: begin - first },
    { ...stretch, address: end, size: last - end },
  ]
  return sides.filter(({ size }) => size > 0)
}

test("two owners never share a byte, and everything is freed in the end", () => {
  check(
    property(steps, (program: Step[]) => {
      const memory = new FakeMemory(65536, 2 ** 21)
      const allocator = allocatorOf(memory)
      const streams = [new FakeStream(), new FakeStream(), new FakeStream()]
      const live: { address: number; size: number }[] = []
      /** Freed blocks whose free is pending: only their own stream may get them. */
      let pending: { address: number; size: number; stream: FakeStream; position: number }[] = []
      const overlaps = (address: number, size: number, other: { address: number; size: number }) =>
        address < other.address + other.size && other.address < address + size
      const checkNew = (address: number, size: number, stream: FakeStream | undefined) => {
        assert.equal(address % 256, 0)
        assert.ok(address >= 256 && address + size <= memory.byteLength)
        assert.ok(!live.some((other) => overlaps(address, size, other)))
        for (const other of pending) {
          const mine = other.stream === stream || other.stream.hasPassed(other.position)
          assert.ok(mine || !overlaps(address, size, other))
        }
        // Its next free is ordered after this allocation, and so after the earlier free.
        pending = pending.flatMap((other) => withoutRange(other, address, address + size))
        live.push({ address, size })
      }
      for (const step of program) {
        if (step.kind === "pinned") {
          checkNew(allocator.allocateNow(step.size), step.size, undefined)
          continue
        }
        const stream = streams[step.stream] ?? new FakeStream()
        if (step.kind === "allocate") {
          try {
            checkNew(allocator.allocate(step.size, stream, never), step.size, stream)
          } catch (error) {
            if (!(error instanceof OutOfMemoryError)) throw error
          }
        } else if (step.kind === "free" && live.length > 0) {
          const [gone] = live.splice(step.which % live.length, 1)
          if (gone === undefined) continue
          stream.tail++
          pending.push({ ...gone, stream, position: stream.tail })
          allocator.release(gone.address, stream, stream.tail, mark)
        } else if (step.kind === "advance") {
          stream.passed = Math.min(stream.tail, stream.passed + 2)
          pending = pending.filter((other) => !other.stream.hasPassed(other.position))
        }
      }
      for (const { address } of live) allocator.releaseNow(address)
      for (const stream of streams) stream.passed = stream.tail
      allocator.harvest()
      assert.equal(allocator.count.used, 0)
      assert.equal(allocator.allocate(memory.byteLength - 256, new FakeStream(), never), 256)
    }),
    { numRuns: 500 },
  )
})

test("guarded allocations have memory on both sides that is given to nobody", () => {
  const allocator = allocatorOf(new FakeMemory(1 << 20, 1 << 24))
  const stream = new FakeStream()
  const [before] = [allocator.allocate(256, stream, never), allocator.guard(true)]
  const [x, y] = [allocator.allocate(300, stream, never), allocator.allocate(256, stream, never)]
  assert.deepEqual([before, x, y], [256, 768, 1792])
  assert.deepEqual(allocator.around(x + 299), { outerBegin: 512, begin: 768, end: 1068, outerEnd: 1536 })
  assert.deepEqual(allocator.around(before), { outerBegin: 256, begin: 256, end: 512, outerEnd: 512 })
  assert.equal(allocator.around(y + 1024), undefined)
  assert.equal(allocator.count.used, 812)
  allocator.guard(false)
  for (const address of [x, y]) allocator.releaseNow(address)
  assert.equal(allocator.around(x), undefined)
  assert.equal(allocator.allocate(1024, stream, never), 512, "the memory beside it is free again")
})
