import assert from "node:assert/strict"
import { test } from "node:test"
import { matmul } from "../../src/blas/index.js"
import { defineModule, type Device, type DeviceArray, type PinnedArray, type Stream } from "../../src/index.js"
import { forEachOpenDevice } from "../support/devices.js"
import { add, affine, affineOfStruct, combine, once, over } from "../support/kernels.js"
import { accessesOf, mend, Races, raceOf, sanitized, unsanitized } from "../support/races.js"

type Ints = DeviceArray<"int32"> | PinnedArray<"int32">

function write(stream: Stream, x: Ints): void {
  affine.launch({ ...over(x.length), stream }, x.length, x, 1, 1)
}

function setUp(device: Device) {
  const [a, b] = [device.createStream({ name: "a" }), device.createStream({ name: "b" })]
  const x = device.zeros("int32", 64)
  const y = device.zeros("int32", 64)
  const sanitizer = sanitized()
  return {
    ...{ a, b, x, y },
    [Symbol.dispose]() {
      sanitizer.stop()
      device.synchronize() // The library does not know of uses through wrap().
      for (const each of [a, b, x, y]) each.dispose()
    },
  }
}

forEachOpenDevice("§13 the sanitizer and memory:", (open) => {
  test("views race where they overlap, and only there", unsanitized, () => {
    using t = setUp(open())
    write(t.a, t.x.subarray(0, 32))
    write(t.b, t.x.subarray(32, 64))
    const race = raceOf(() => write(t.b, t.x.subarray(20, 40)))
    assert.deepEqual(race.range, { address: t.x.address + 80, byteLength: 48 })
    write(t.b, t.x.subarray(32, 40))
    mend(race)
    write(t.b, t.x.subarray(20, 40))
  })

  test("within its bytes a write replaces what it is ordered after; other bytes keep theirs", unsanitized, () => {
    using t = setUp(open())
    write(t.a, t.x)
    t.b.wait(t.a)
    write(t.b, t.x.subarray(16, 48))
    const later = t.a.device.createStream({ name: "later" })
    assert.equal(raceOf(() => write(later, t.x.subarray(0, 8))).previous.stream.name, "a")
    assert.equal(raceOf(() => write(later, t.x.subarray(20, 30))).previous.stream.name, "b")
    assert.equal(raceOf(() => write(later, t.x.subarray(60, 64))).previous.stream.name, "a")
    later.wait(t.a)
    write(later, t.x.subarray(0, 8))
    assert.equal(raceOf(() => write(later, t.x.subarray(10, 17))).previous.stream.name, "b")
    later.dispose()
  })

  test("rows that lie between each other do not race", unsanitized, () => {
    using t = setUp(open())
    const columns = (first: number) => t.x.subarray(first)
    const shape = { width: 2, height: 10, pitch: 6 }
    t.a.run(() => columns(0).fill2D(1, shape))
    t.b.run(() => columns(2).fill2D(2, shape))
    t.b.run(() => columns(4).fill2D(3, { ...shape, height: 9 }))
    write(t.a, t.x.subarray(60, 64)) // A later access of other bytes replaces none of the rows.
    const race = raceOf(() => t.b.run(() => columns(13).fill2D(4, { width: 1, height: 3, pitch: 6 })))
    assert.deepEqual(race.range, { address: t.x.address + 52, byteLength: 4 })
    assert.deepEqual(accessesOf(race), ["fill write on b", "fill write on a"])
    raceOf(() => t.b.run(() => columns(0).copyFrom2D(t.y, { width: 1, height: 4, pitch: 5, sourcePitch: 2 })))
  })

  test("each argument of a launch is checked with the mode of the signature", unsanitized, () => {
    const device = open()
    using t = setUp(device)
    using races = new Races()
    const [p, q, r] = [device.zeros("float32", 8), device.zeros("float32", 8), device.zeros("float32", 8)]
    add.launch({ ...over(8), stream: t.a }, 8, p, q, r)
    const launch = (...args: [DeviceArray<"float32">, DeviceArray<"float32">, DeviceArray<"float32">]) => {
      return accessesOf(raceOf(() => add.launch({ ...over(8), stream: t.b }, 8, ...args)))
    }
    const other = device.zeros("float32", 8)
    add.launch({ ...over(8), stream: t.b }, 8, p, q, other)
    assert.deepEqual(launch(r, q, other), ["test_add 1 read on b", "test_add 3 write on a"])
    assert.deepEqual(launch(p, r, other), ["test_add 2 read on b", "test_add 3 write on a"])
    assert.deepEqual(launch(p, p, q), ["test_add 3 write on b", "test_add 2 read on a"])
    assert.deepEqual(launch(p, p, r), ["test_add 3 write on b", "test_add 3 write on a"])
    assert.deepEqual(races.take(), [], "what one sanitizer refuses, the other one does not report")
    for (const each of [p, q, r, other]) each.dispose()
  })

  test("one array may fill several parameters of a launch", unsanitized, () => {
    using t = setUp(open())
    combine.launch({ ...over(64), stream: t.a }, 64, t.x, t.x)
    assert.deepEqual(accessesOf(raceOf(() => t.y.copyFrom(t.x))), [
      "copy read on the default stream",
      "test_combine 2 readwrite on a",
    ])
  })

  test("pointers in structs are accesses, named by their path", unsanitized, () => {
    using t = setUp(open())
    affineOfStruct.launch({ ...over(64), stream: t.a }, { a: 1, x: t.x, b: 1, n: 64 })
    assert.deepEqual(accessesOf(raceOf(() => write(t.b, t.x))), [
      "test_affine 1 readwrite on b",
      "test_affine_of_struct 0.x readwrite on a",
    ])
  })

  test("arrays in `uses` and `external` are accesses", unsanitized, () => {
    const device = open()
    using t = setUp(device)
    affine.launch({ ...once, stream: t.a, uses: { reads: [t.x], writes: [t.y] } }, 0, t.y, 1, 1)
    assert.deepEqual(accessesOf(raceOf(() => t.b.external({ writes: [t.x] }, () => assert.fail("it is called")))), [
      "external write on b",
      "test_affine read on a",
    ])
    t.b.external({ reads: [t.x] }, () => {})
    assert.equal(raceOf(() => t.b.external({ reads: [t.y] }, () => {})).previous.access, "write")
  })

  test("a module's globals are accesses, named as in the code", unsanitized, () => {
    const device = open()
    using module = defineModule({
      cuda: { file: new URL("../../examples/filters/filters.cu", import.meta.url) },
      host: { source: "export function clip() {}" },
      globals: { taps: ["float32", 4, "constant"], clipped: ["int32", 1] },
    })
    const clip = module.kernel({ name: "clip", signature: ["int32", "float32", "inout float32*"] })
    clip.load(device)
    const [p, q] = [device.zeros("float32", 4), device.zeros("float32", 4)]
    using t = setUp(device)
    clip.launch({ ...once, stream: t.a }, 4, 1, p)
    const race = raceOf(() => clip.launch({ ...once, stream: t.b }, 4, 1, q))
    assert.equal(race.current.name, "clipped")
    assert.equal(race.previous.name, "clipped")
    mend(race)
    clip.launch({ ...once, stream: t.b }, 4, 1, q)
    p.dispose()
    q.dispose()
  })

  test("a product reads its inputs and writes its output", unsanitized, () => {
    const device = open()
    const [p, q, out] = [device.zeros("float32", 4), device.zeros("float32", 4), device.zeros("float32", 4)]
    matmul({ a: p, b: q, out, m: 2, n: 2, k: 2 })
    device.synchronize()
    using t = setUp(device)
    t.a.run(() => matmul({ a: p, b: q, out, m: 2, n: 2, k: 2 }))
    t.b.run(() => q.readSync())
    assert.equal(raceOf(() => t.b.run(() => p.fill(1))).previous.access, "read")
    assert.equal(raceOf(() => t.b.run(() => out.readSync())).previous.access, "write")
    for (const each of [p, q, out]) each.dispose()
  })

  test("copies, uploads, fills and reads are accesses in all directions", unsanitized, async () => {
    const device = open()
    using t = setUp(device)
    using pinned = device.pinned("int32", 64)
    t.a.run(() => t.x.copyFrom(pinned))
    raceOf(() => t.b.run(() => pinned.copyFrom(t.y)))
    raceOf(() => t.b.run(() => t.y.copyFrom(t.x)))
    raceOf(() => t.b.run(() => t.x.copyFrom(new Int32Array(64))))
    raceOf(() => t.b.run(() => t.x.fill(1)))
    raceOf(() => t.b.run(() => t.x.readSync()))
    await assert.rejects(
      t.b.run(() => t.x.read()),
      { code: "AUX_DATA_RACE" },
    )
    t.b.run(() => t.y.copyFrom(pinned))
  })

  for (const make of ["zeros", "from"] as const) {
    test(`a \`wrap\` of an array's memory is not ordered after the first contents of \`${make}\``, unsanitized, () => {
      const device = open()
      using t = setUp(device)
      const own = t.b.run(() => device.zeros("int32", 64))
      using x = t.a.run(() => (make === "zeros" ? device.zeros("int32", 64) : device.from(new Int32Array(64))))
      const wrapped = device.wrap(x.address, "int32", 64)
      const readOnB = (array: Ints) => combine.launch({ ...over(64), stream: t.b }, 64, array, own)
      const race = raceOf(() => readOnB(wrapped))
      assert.equal(race.previous.operation, make === "zeros" ? "fill" : "upload")
      assert.equal(race.previous.stream.name, "a")
      mend(race)
      readOnB(wrapped)
      device.synchronize()
    })
  }

  test(
    "a `wrap` is ordered after the first contents of an array that its stream, or its own operation, uses",
    unsanitized,
    () => {
      const device = open()
      using t = setUp(device)
      using c = device.createStream({ name: "c" })
      using x = t.a.run(() => device.zeros("int32", 64))
      const wrapped = device.wrap(x.address, "int32", 64)
      const [first, last] = [x.subarray(0, 4), wrapped.subarray(60)]
      const own = t.b.run(() => device.zeros("int32", 64))
      // The library makes the kernel wait for the first contents of its argument `first`.
      combine.launch({ ...over(4), stream: t.b, uses: { reads: [first] } }, 4, last, own)
      combine.launch({ ...over(4), stream: t.b }, 4, wrapped.subarray(8), own)
      raceOf(() =>
        combine.launch(
          { ...over(4), stream: c },
          4,
          last,
          c.run(() => device.zeros("int32", 64)),
        ),
      )
      c.wait(t.b)
      write(c, wrapped)
      raceOf(() => write(t.a, x))
      device.synchronize()
    },
  )

  test("two `wrap`s of one address race: accesses are known by their addresses", unsanitized, () => {
    const device = open()
    using t = setUp(device)
    write(t.a, device.wrap(t.x.address, "int32", 64))
    raceOf(() => write(t.b, device.wrap(t.x.address + 128, "int32", 8)))
    raceOf(() => write(t.b, t.x))
  })

  test("§4 the library orders the births of arrays: no order by the program is missing", unsanitized, () => {
    const device = open()
    using t = setUp(device)
    const made = t.a.run(() => [device.zeros("int32", 64), device.from(new Int32Array(64)), device.empty("int32", 64)])
    for (const array of made) write(t.b, array)
    for (const array of made) raceOf(() => write(t.a, array))
    for (const array of made) array.dispose()
  })

  test("§4 a birth orders nothing else of its stream", unsanitized, () => {
    const device = open()
    using t = setUp(device)
    write(t.a, t.x)
    using made = t.a.run(() => device.zeros("int32", 64))
    write(t.b, made)
    raceOf(() => write(t.b, t.x))
  })

  test("§4 an array that the program fills itself must be ordered by the program", unsanitized, () => {
    const device = open()
    using t = setUp(device)
    using made = t.a.run(() => device.empty("int32", 64).fill(1))
    raceOf(() => write(t.b, made))
  })

  test("§5.6 memory that is used again is other memory", unsanitized, () => {
    const device = open()
    using t = setUp(device)
    const addresses = new Set<number>()
    for (let count = 0; count < 50; count++) {
      const stream = count % 2 === 0 ? t.a : t.b
      const made = stream.run(() => device.empty("int32", 5000))
      addresses.add(made.address)
      write(stream, made)
      const other = stream === t.a ? t.b : t.a
      other.wait(stream)
      write(other, made)
      made.dispose()
    }
    assert.ok(addresses.size < 50, "no memory was used again")
  })

  test("memory of staging and scratch is not the program's: it never races", unsanitized, async () => {
    const device = open()
    using t = setUp(device)
    const arrays = Array.from({ length: 6 }, () => device.zeros("int32", 1000))
    for (let round = 0; round < 5; round++) {
      const reads = arrays.map((array, index) => (index % 2 === 0 ? t.a : t.b).run(() => array.read()))
      using pinned = device.pinned("int32", 1000)
      t.a.run(() => arrays[0]?.copyFrom(pinned))
      t.b.run(() => arrays[1]?.copyFrom2D(new Int32Array(1000), { width: 10, height: 5, pitch: 20 }))
      await Promise.all(reads)
    }
    for (const array of arrays) array.dispose()
  })

  test("reading the handle of a stream or an event ends reports about what comes before it", unsanitized, () => {
    const device = open()
    using t = setUp(device)
    write(t.a, t.x)
    const event = t.a.record()
    raceOf(() => write(t.b, t.x))
    void event.handle // Other code may now wait for the event, and let the program go on.
    write(t.b, t.x)
    write(t.a, t.y)
    raceOf(() => write(t.b, t.y))
    void t.a.handle
    write(t.b, t.y)
    // Nobody has a handle of b, so nothing else can have ordered this.
    raceOf(() => write(t.a, t.y))
  })

  test("accesses from before the start are unknown; after the stop nothing is checked", unsanitized, () => {
    const device = open()
    const x = device.zeros("int32", 64)
    const [a, b] = [device.createStream(), device.createStream()]
    write(a, x)
    const sanitizer = sanitized()
    write(b, x)
    raceOf(() => write(a, x))
    sanitizer.stop()
    sanitizer.stop()
    write(a, x)
    for (const each of [a, b, x]) each.dispose()
  })
})
