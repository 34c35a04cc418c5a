import assert from "node:assert/strict"
import { test } from "node:test"
import { unmangled } from "../../src/cuda/image/mangled-name.js"
import { listed, named, symbolsOf } from "../../src/cuda/image/symbols.js"
import { fatbinOf } from "../support/images.js"

test("§11 a symbol's name is read without its template arguments and parameters, and never guessed", () => {
  for (const [symbol, name] of [
    // As nvcc 13.0 makes them.
    ["_Z4overf", "over"],
    ["_ZN2ns5plainEiPKfPf", "ns::plain"],
    ["_ZN2ns5scaleIfLi4EEEvPT_NS_1SE", "ns::scale"],
    ["_ZN36_GLOBAL__N__2e1e0c20_4_t_cu_62475c814anonEPi", "anon"],
    ["_ZL3fooi", "foo"],
    // By the rules of the Itanium ABI.
    ["_ZN2ns1fILN2ns1eE12ELb1EEEvv", "ns::f"],
    ["_Z1fIA4_fJiS_S0_EEvv", "f"],
    ["_ZN2ns1fIXsr3std7is_sameIT_fEE5valueEEEvv", "ns::f"],
    ["_ZN1aI6__halfLi12EE1fILi3EEEvPT_", "a::f"],
    ["_ZNK1a1fEv", "a::f"],
  ] as const) {
    assert.equal(unmangled(symbol), name, symbol)
  }
  for (const symbol of [
    "scale",
    "",
    "_Z",
    "_ZN",
    "_ZN3fooC1Ev",
    "_ZSt3foo",
    "_Z99short",
    "_ZN1fI",
    "_ZN1fIL_Z1gEEE",
    "?scale@@YAXXZ",
  ]) {
    assert.equal(unmangled(symbol), undefined, symbol)
  }
})

test("§11 a name stands for the symbol that it is, or for those that it names", () => {
  const symbols = ["over", "_Z4overf", "_Z4overi", "_Z5plainv"]
  assert.deepEqual(named("over", symbols), ["over"])
  assert.deepEqual(named("over", symbols.slice(1)), ["_Z4overf", "_Z4overi"])
  assert.deepEqual(named("plain", symbols), ["_Z5plainv"])
  assert.deepEqual(named("_Z5plainv", symbols), ["_Z5plainv"])
  assert.deepEqual(named("plai", symbols), [])
  assert.equal(listed(["b", "_Z1av"]), "_Z1av (a), b")
  assert.equal(listed([]), "none")
})

const ptx = `.version 9.0
.target sm_90
.address_size 64
.const .align 4 .b8 table[16];
.global .align 4 .u32 counter;
.global .attribute(.managed) .align 4 .u32 man;
.visible .global .align 8 .b8 _ZN2ns2d2E[16] = {0, 0, 0, 0, 0, 0, 240, 63, 0, 0, 0, 0, 0, 0, 0, 64};
.global .align 1 .b8 $str[4] = {37, 100, 10, 0};
.func (.param .b32 func_retval0) _Z6helperPi(.param .b64 p) { ld.global.u32 %r1, [%rd1]; ld.const.f32 %f1, [table+4]; ret; }
.visible .entry _Z4overi(.param .u32 a) { ret; }
.entry c(
.param .u64 x
) { ret; }
`

test("§11 the kernels and globals of PTX, with which are constant; compilers' own are left out", () => {
  assert.deepEqual(symbolsOf(Buffer.from(ptx)), {
    kernels: ["_Z4overi", "c"],
    globals: new Map([
      ["table", true],
      ["counter", false],
      ["man", false],
      ["_ZN2ns2d2E", false],
    ]),
  })
})

/** A cubin with these symbols: of functions `st_other`, of objects the section. */
function cubin(
  symbols: readonly (readonly [name: string, type: number, other: number, section: number])[],
): Uint8Array {
  const sectionNames = ["", ".shstrtab", ".strtab", ".symtab", ".text.k", ".nv.global", ".nv.constant3"]
  const texts = (names: readonly string[]) => Buffer.from(names.map((name) => `${name}\0`).join(""))
  const offsetIn = (names: readonly string[], index: number) => texts(names.slice(0, index)).length
  const names = ["", ...symbols.map(([name]) => name)]
  const parts = [Buffer.alloc(0), texts(sectionNames), texts(names), Buffer.alloc(24 * names.length)]
  const [, , , table] = parts
  symbols.forEach(([, type, other, section], index) => {
    const at = 24 * (index + 1)
    table?.writeUInt32LE(offsetIn(names, index + 1), at)
    table?.set([type, other], at + 4)
    table?.writeUInt16LE(section, at + 6)
  })
  const header = Buffer.alloc(64 + 64 * sectionNames.length)
  header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1])
  header.writeBigUInt64LE(64n, 40)
  header.writeUInt16LE(64, 58)
  header.writeUInt16LE(sectionNames.length, 60)
  header.writeUInt16LE(1, 62)
  let end = header.length
  sectionNames.forEach((_, index) => {
    const at = 64 + 64 * index
    const { length = 0 } = parts[index] ?? {}
    header.writeUInt32LE(offsetIn(sectionNames, index), at)
    header.writeUInt32LE(index === 3 ? 2 : index === 0 ? 0 : 1, at + 4)
    header.writeBigUInt64LE(BigInt(end), at + 24)
    header.writeBigUInt64LE(BigInt(length), at + 32)
    header.writeUInt32LE(index === 3 ? 2 : 0, at + 40)
    end += length
  })
  return Buffer.concat([header, ...parts])
}

const image = cubin([
  ["_Z4overf", 0x12, 0x10, 4],
  ["helper", 0x02, 0, 4],
  ["c", 0x12, 0x10, 4],
  ["counter", 0x01, 0, 5],
  ["table", 0x01, 0, 6],
  ["$str", 0x01, 0, 5],
  ["other", 0x01, 0, 4],
])
const symbols = {
  kernels: ["_Z4overf", "c"],
  globals: new Map([
    ["counter", false],
    ["table", true],
  ]),
}

test("§11 the kernels and globals of a cubin, and of those in a fatbin; not of one that is compressed", () => {
  assert.deepEqual(symbolsOf(image), symbols)
  assert.deepEqual(symbolsOf(fatbinOf(image, image)), symbols)
  assert.deepEqual(symbolsOf(fatbinOf(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), image)), symbols)
  assert.equal(symbolsOf(fatbinOf(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8))), undefined)
  assert.deepEqual(symbolsOf(new Uint8Array(0)), { kernels: [], globals: new Map() })
})
