/**
 * The functions by which CUPTI requests and returns buffers, as machine code for Linux x64. CUPTI calls them on any thread, and
 * until the process ends, so they must never be JavaScript and are never freed.
 *
 * They use a table in memory, at these offsets: 136 the bytes of a buffer, 144 the first buffer's address, 152 the number of
 * buffers, 160 how many requests found no free one, 256 an entry of 16 bytes for each buffer: its state and its valid bytes.
 * A process has one table, because CUPTI may return a buffer long after another thread has started it anew.
 */
import { bind, koffi, type Signature, viewMemory } from "../native/ffi.js"

export const BUFFER_BYTES = 136
export const FIRST_BUFFER = 144
export const BUFFERS = 152
export const REFUSED = 160
export const ENTRIES = 256
export const ENTRY_BYTES = 16

/** A buffer's state: free, in use by CUPTI, or returned with records. */
export const FREE = 0
export const RETURNED = 2

/** Stands for the table's address, which is filled in. */
const TABLE = Array.from({ length: 8 }, () => 0)

/** `request(uint8_t **buffer, size_t *size, size_t *maxRecords)`: changes the first free entry's state from 0 to 1. */
const REQUEST = [
  ...[0x49, 0xb8, ...TABLE], // movabs r8, table
  ...[0x4d, 0x8b, 0x88, 0x98, 0, 0, 0], // mov r9, [r8+152]
  ...[0x4d, 0x8b, 0x90, 0x90, 0, 0, 0], // mov r10, [r8+144]
  ...[0x4d, 0x8d, 0x98, 0, 1, 0, 0], // lea r11, [r8+256]
  ...[0x4d, 0x85, 0xc9], // next: test r9, r9
  ...[0x74, 0x31], // jz none
  ...[0x31, 0xc0], // xor eax, eax
  ...[0xb9, 1, 0, 0, 0], // mov ecx, 1
  ...[0xf0, 0x49, 0x0f, 0xb1, 0x0b], // lock cmpxchg [r11], rcx
  ...[0x74, 0x10], // jz found
  ...[0x49, 0x83, 0xc3, 0x10], // add r11, 16
  ...[0x4d, 0x03, 0x90, 0x88, 0, 0, 0], // add r10, [r8+136]
  ...[0x49, 0xff, 0xc9], // dec r9
  ...[0xeb, 0xdd], // jmp next
  ...[0x4c, 0x89, 0x17], // found: mov [rdi], r10
  ...[0x49, 0x8b, 0x80, 0x88, 0, 0, 0], // mov rax, [r8+136]
  ...[0x48, 0x89, 0x06], // mov [rsi], rax
  ...[0x31, 0xc0], // xor eax, eax
  ...[0x48, 0x89, 0x02], // mov [rdx], rax
  0xc3, // ret
  ...[0xf0, 0x49, 0xff, 0x80, 0xa0, 0, 0, 0], // none: lock inc qword [r8+160]
  ...[0x31, 0xc0], // xor eax, eax
  ...[0x48, 0x89, 0x07], // mov [rdi], rax
  ...[0x48, 0x89, 0x06], // mov [rsi], rax
  ...[0x48, 0x89, 0x02], // mov [rdx], rax
  0xc3, // ret
]

/** `completed(context, streamId, uint8_t *buffer, size_t size, size_t validSize)`: stores `validSize`, then state 2. */
const COMPLETED = [
  ...[0x49, 0xb9, ...TABLE], // movabs r9, table
  ...[0x4d, 0x8d, 0x99, 0, 1, 0, 0], // lea r11, [r9+256]
  ...[0x48, 0x89, 0xd0], // mov rax, rdx
  ...[0x49, 0x2b, 0x81, 0x90, 0, 0, 0], // sub rax, [r9+144]
  ...[0x31, 0xd2], // xor edx, edx
  ...[0x49, 0xf7, 0xb1, 0x88, 0, 0, 0], // div qword [r9+136]
  ...[0x48, 0xc1, 0xe0, 0x04], // shl rax, 4
  ...[0x49, 0x01, 0xc3], // add r11, rax
  ...[0x4d, 0x89, 0x43, 0x08], // mov [r11+8], r8
  ...[0x49, 0xc7, 0x03, 2, 0, 0, 0], // mov qword [r11], 2
  0xc3, // ret
]
/** Where the table's address is in each function. */
const TABLE_OFFSET = 2

const C_LIBRARY = {
  mmap: ["mmap", "uintptr_t", "size_t", "int", "int", "int", "size_t"],
} as const satisfies Record<string, Signature>
const WITH_STATUS = {
  mprotect: ["mprotect", "uintptr_t", "size_t", "int"],
} as const satisfies Record<string, Signature>
const READ = 1
const WRITE = 2
const EXECUTE = 4
const PRIVATE_ANONYMOUS = 0x22
const FAILED = 2 ** 64 - 1
const PAGE_BYTES = 4096

/** The addresses of the functions. */
export interface NativeCallbacks {
  readonly request: number
  readonly completed: number
}

/** Whether this machine can run them. */
export function canRun(platform: string, arch: string): boolean {
  return platform === "linux" && arch === "x64"
}

/** Zeroed memory that is never freed. Pages that nobody touches take no space. @throws Error if there is none */
export function mapMemory(byteLength: number): number {
  const { mmap } = bind(koffi().load(null), C_LIBRARY, "uintptr_t")
  const address = mmap(0, byteLength, READ | WRITE, PRIVATE_ANONYMOUS, -1, 0)
  if (address >= FAILED) throw new Error(`mmap could not map ${byteLength} bytes`)
  return address
}

/** Makes the functions for a table. @throws Error if the system allows no new machine code */
export function makeCallbacks(table: number): NativeCallbacks {
  const page = mapMemory(PAGE_BYTES)
  const bytes = new Uint8Array(viewMemory(page, PAGE_BYTES))
  const view = new DataView(bytes.buffer)
  const completed = Math.ceil(REQUEST.length / 16) * 16
  bytes.set(REQUEST)
  bytes.set(COMPLETED, completed)
  for (const start of [0, completed]) view.setBigUint64(start + TABLE_OFFSET, BigInt(table), true)
  const { mprotect } = bind(koffi().load(null), WITH_STATUS)
  if (mprotect(page, PAGE_BYTES, READ | EXECUTE) !== 0) throw new Error("mprotect refused to make memory executable")
  return { request: page, completed: page + completed }
}
