/**
 * Where the cases of other sanitizers' suites, and races that happened in real programs, are tested here. What this library
 * cannot express is listed with the reason.
 */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"

const order = "conformance/sanitizer-order.test"
const memory = "conformance/sanitizer-memory.test"
const graphs = "conformance/sanitizer-graphs.test"
const suites = "conformance/sanitizer-suites.test"
const accidents = "conformance/sanitizer-accidents.test"

/** For each case a file, and a part of a test's title in it. */
type Cases = Readonly<Record<string, readonly [file: string, title: string]>>

/** PyTorch, test/test_cuda_sanitizer.py: all 25 cases. */
const pytorch: Cases = {
  test_add: [memory, "each argument of a launch is checked with the mode of the signature"],
  test_cat: [memory, "arrays in `uses` and `external` are accesses"],
  test_split: [memory, "views race where they overlap, and only there"],
  test_inplace: [order, "one stream never races with itself"],
  test_out: [memory, "each argument of a launch is checked with the mode of the signature"],
  test_nonzero: [suites, "one launch with ten races reports all ten"],
  test_tensor_names: [memory, "one array may fill several parameters of a launch"],
  test_empty_kernel_launch: [suites, "a launch without arrays is in no race"],
  test_simple_passing: [order, "two streams may read at the same time"],
  test_simple_error: [order, "on two streams race without an order"],
  test_simple_sync: [order, "a wait for an event, and a wait for a stream, order them"],
  test_reads_check_last_write: [order, "a read must come after the last write, also if a read on another stream did"],
  test_branch_sync: [order, "two branches that are joined one by one"],
  test_chain_sync: [suites, "order passes along a chain of ten streams"],
  test_expired_record: [order, "a record before the access does not order it"],
  test_deleted_record: [suites, "a new event orders nothing, even if it has the driver's event of a disposed one"],
  test_all_reads_checked_failing: [suites, "ten streams read and a writer waits for"],
  test_all_reads_checked_passing: [suites, "ten streams read and a writer waits for"],
  test_multiple_errors: [suites, "one launch with ten races reports all ten"],
  test_correct_state_merging: [suites, "a wait keeps what the stream knew already, also if the event is older"],
  test_record_override: [order, "a later record replaces the earlier one, whose waits stay"],
  test_multiple_wait: [order, "two branches that are joined one by one"],
  test_ensure_exists: [memory, "accesses from before the start are unknown; after the stop nothing is checked"],
  test_ensure_does_not_exist: [order, "streams are known by their ids: a new stream with an old one's handle and slot"],
  test_error_message: ["sanitizer/texts.test", "are those of docs/sanitizer.md, with their stacks"],
}

/**
 * CuSan, test/runtime, test/kernel_analysis and test/multi_gpu: the cases without MPI. Its cases on the legacy default stream,
 * which waits for all others, are tested the other way round: the default stream of this library orders nothing by itself.
 */
const cusan: Cases = {
  "02_event": [order, "a wait for an event, and a wait for a stream, order them"],
  "09_cudamemcpy_default": [memory, "copies, uploads, fills and reads are accesses in all directions"],
  "10_cudahostalloc": [accidents, "the host reads before the copy to pinned memory is done"],
  "11_struct_of_buff": [memory, "pointers in structs are accesses, named by their path"],
  "12_struct_ptr": [memory, "pointers in structs are accesses, named by their path"],
  "13_struct_recursion": ["sanitizer/access/access-modes.test", "an array behind a pointer of a struct is reported"],
  "14_cuda_functor": [memory, "arrays in `uses` and `external` are accesses"],
  "15_cuda_memset_sync, and _nonblocking": [suites, "the default stream orders no other stream by itself"],
  "16_cuda_malloc_implicit_sync, hostalloc": [suites, "allocations, of pinned memory too, order nothing"],
  "17_cuda_stream_query_busy_loop": [order, "queries that the program makes count if they give true"],
  "18_cuda_event_query_busy_loop, and _with_flags": [order, "queries that the program makes count if they give true"],
  "19_cuda_cudaMemcpyAsyncH2H_implicit_sync, and _nonblocking": [suites, "a copy between pinned and device memory"],
  "20_cuda_default_stream_sync": [suites, "the default stream orders no other stream by itself"],
  "21_chunked_streams_example": [suites, "streams that each work on a chunk of one array do not race"],
  "22_cuda_to_mpi_partial_buff_write": [
    suites,
    "a part that one stream writes leaves the rest to what wrote the whole",
  ],
  "23_cuda_default_stream_post_sync, and _nonblocking": [suites, "the default stream orders no other stream by itself"],
  "24_cuda_sync_stream_default_nonblocking": [suites, "the default stream orders no other stream by itself"],
  "25_cuda_default_stream_double_sync": [suites, "the default stream orders no other stream by itself"],
  "26_malloc_pitch": [memory, "rows that lie between each other do not race"],
  "27_cuda_memcpy2d_implicit_syn": [memory, "rows that lie between each other do not race"],
  "28_cuda_memset2d_implicit_syn": [memory, "rows that lie between each other do not race"],
  "31_tsan_cuda_event": [order, "synchronisations of a stream, an event and the device order everything that follows"],
  "32_tsan_async_copy": [suites, "a copy between pinned and device memory, and one of a typed array"],
  "33_tsan_wait_event": [order, "order is transitive over events of other streams"],
  "34_negative_array": ["sanitizer/access/beside.test", "a kernel that writes up to 256 bytes before its array"],
  "34 to 36_test_sync_callback": [order, "synchronisations of a stream, an event and the device order everything"],
  "kernel_analysis/01 to 08": [
    "sanitizer/access/access-modes.test",
    "a kernel given as text that writes an `in` array",
  ],
  "multi_gpu/01_device_sync": ["cuda/sanitizer.test", "a synchronisation of one device orders nothing on another one"],
  "multi_gpu/02_device_sync_event": [
    "cuda/sanitizer.test",
    "a synchronisation of one device orders nothing on another",
  ],
}

/** Races and lifetimes that went wrong in engines and libraries. */
const happened: Cases = {
  "an aux output is reused while the caller's read is queued": [accidents, "a lost record_stream"],
  "an input is dropped that aux still reads": [accidents, "an input that the aux stream still reads is dropped"],
  "one read event for a buffer (cudarc)": [accidents, "one read event for a buffer"],
  "both branches write one tensor": [accidents, "both branches write one buffer that was made before"],
  "both branches get one tensor (vllm#52033)": [accidents, "one tensor is given to both branches"],
  "a refactor loses record_stream (local-inference-lab/vllm#93)": [accidents, "a lost record_stream"],
  "free lists are merged without an event (rmm#2490)": [
    suites,
    "a block of memory that two streams used is used again",
  ],
  "tensors that another stream reuses (pytorch#179863)": [memory, "memory that is used again is other memory"],
  "uses of foreign memory whose addresses are reused": ["sanitizer/reuse.test", "those of `wrap`, which the library"],
  "one cuBLAS handle on two streams": [memory, "memory of staging and scratch is not the program's: it never races"],
  "graphs of other shapes corrupt shared events (vLLM)": [
    "conformance/graphs-order.test",
    "graphs captured with the same events and aux stream share nothing",
  ],
  "replays of graphs, which PyTorch's sanitizer misses": [
    graphs,
    "a launch is one operation with the accesses of all nodes",
  ],
  "unjoined work fails a capture": ["conformance/graphs.test", "unjoined forks are joined at the end"],
  "a throw in fn1 leaves the aux stream unjoined": [accidents, "a throw in a branch must not lose the join"],
  "a library's own query invalidates a capture": [order, "the library's own queries teach nothing"],
}

/** Not expressible here: MPI and its buffers (03 to 08, 29, 30), null in a struct (35), which is no access. */
for (const [suite, cases] of Object.entries({ pytorch, cusan, happened })) {
  test(`each case of the list "${suite}" is tested`, () => {
    for (const [name, [file, title]] of Object.entries(cases)) {
      const source = readFileSync(new URL(`../${file}.js`, import.meta.url), "utf8")
      assert.ok(source.includes(title), `${name}: no test "${title}" in ${file}.ts`)
    }
  })
}
