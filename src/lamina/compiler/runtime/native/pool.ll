; The thread pool. A launch is cut into at most 32 chunks; `state` holds the number of the launch and a bit for each chunk that nobody
; has taken. Whoever clears a bit (compare-and-swap) does that chunk. The caller works too, and waits only for chunks that others have
; taken: a worker that sleeps delays nothing. Each thread begins with its own share, so that a launch over the same data finds it in the
; same core's cache, and then takes what is left. Who does what never shows in the results: units are independent.
;
; A worker looks for work for a while, then sleeps on a futex; workers are made when first needed and live until the process ends.

%Pool = type { i64, [7 x i64], ptr, ptr, i64, i64, i64, [3 x i64], i64, [7 x i64], i32, [15 x i32], i32, i32, [14 x i32], ptr, i64, i64, [5 x i64],
               [32 x %Worker] }
; 0 state | 2 kernel, 3 pointers, 4 units, 5 chunks, 6 threads | 8 chunks done by workers | 10 whether a launch is on
; | 12 what sleepers sleep on, 13 whether there are any | 15 where the number of threads to use
; stands, 16 how many there may be (at most 32), 17 workers made | 19 workers
%Worker = type { ptr, i64, ptr, i64 }
; 0 pool, 1 its number (the caller is 0), 2 scratch, 3 bytes of it

declare i32 @pthread_create(ptr, ptr, ptr, ptr) nounwind
declare i32 @pthread_detach(i64) nounwind
declare i32 @pthread_sigmask(i32, ptr, ptr) nounwind
declare ptr @aligned_alloc(i64, i64) nounwind
declare void @free(ptr) nounwind
declare i64 @syscall(i64, ...) nounwind
declare void @llvm.x86.sse2.pause() nounwind
declare i64 @llvm.cttz.i64(i64, i1)
declare i64 @llvm.umin.i64(i64, i64)
declare i64 @llvm.umax.i64(i64, i64)

; Run a kernel over all units, on as many threads as are set and worth it.
define internal void @spread(ptr %pool, ptr %kernel, ptr %pointers, ptr %scratch, i64 %units, i64 %bytes, i64 %worth) noinline nounwind {
  %cell.at = getelementptr %Pool, ptr %pool, i64 0, i32 15
  %cell = load ptr, ptr %cell.at
  %set = load atomic i64, ptr %cell monotonic, align 8
  %some = call i64 @llvm.umin.i64(i64 %set, i64 %worth)
  %few = call i64 @llvm.umin.i64(i64 %some, i64 %units)
  %most.at = getelementptr %Pool, ptr %pool, i64 0, i32 16
  %most = load i64, ptr %most.at
  %threads = call i64 @llvm.umin.i64(i64 %few, i64 %most)
  %several = icmp ugt i64 %threads, 1
  br i1 %several, label %enter, label %serial
enter:                                            ; a second caller, or a fork's child before its reset, works alone
  %busy.at = getelementptr %Pool, ptr %pool, i64 0, i32 10
  %entered = cmpxchg ptr %busy.at, i32 0, i32 1 acquire monotonic
  %alone = extractvalue { i32, i1 } %entered, 1
  br i1 %alone, label %prepare, label %serial
prepare:
  %ready = call i1 @prepare(ptr %pool, i64 %threads, ptr %scratch, i64 %bytes)
  br i1 %ready, label %publish, label %leave.serial
leave.serial:
  store atomic i32 0, ptr %busy.at release, align 4
  br label %serial
serial:
  call void %kernel(ptr %pointers, ptr %scratch, i64 0, i64 %units)
  ret void

publish:
  %wide = icmp ugt i64 %threads, 8
  %share = udiv i64 32, %threads
  %per = select i1 %wide, i64 %share, i64 4
  %pieces = mul i64 %threads, %per
  %chunks = call i64 @llvm.umin.i64(i64 %units, i64 %pieces)
  %kernel.at = getelementptr %Pool, ptr %pool, i64 0, i32 2
  store atomic ptr %kernel, ptr %kernel.at monotonic, align 8
  %pointers.at = getelementptr %Pool, ptr %pool, i64 0, i32 3
  store atomic ptr %pointers, ptr %pointers.at monotonic, align 8
  %units.at = getelementptr %Pool, ptr %pool, i64 0, i32 4
  store atomic i64 %units, ptr %units.at monotonic, align 8
  %chunks.at = getelementptr %Pool, ptr %pool, i64 0, i32 5
  store atomic i64 %chunks, ptr %chunks.at monotonic, align 8
  %threads.at = getelementptr %Pool, ptr %pool, i64 0, i32 6
  store atomic i64 %threads, ptr %threads.at monotonic, align 8
  %done.at = getelementptr %Pool, ptr %pool, i64 0, i32 8
  store atomic i64 0, ptr %done.at monotonic, align 8
  %last = load atomic i64, ptr %pool monotonic, align 8
  %launch = lshr i64 %last, 32
  %launch.next = add i64 %launch, 1
  %high = shl i64 %launch.next, 32
  %power = shl i64 1, %chunks
  %bits = sub i64 %power, 1
  %fresh = or i64 %high, %bits
  %published = atomicrmw xchg ptr %pool, i64 %fresh seq_cst
  call void @rouse(ptr %pool)
  br label %work

work:
  %own = call i64 @take(ptr %pool, i64 0)
  %theirs = sub i64 %chunks, %own
  br label %wait
wait:
  %turns = phi i64 [0, %work], [%turns.next, %pause], [%turns.next, %yield]
  %done = load atomic i64, ptr %done.at acquire, align 8
  %all = icmp eq i64 %done, %theirs
  br i1 %all, label %leave, label %linger
linger:
  %turns.next = add i64 %turns, 1
  %patient = icmp ult i64 %turns, 1000
  br i1 %patient, label %pause, label %yield
pause:
  call void @llvm.x86.sse2.pause()
  br label %wait
yield:                                            ; the worker may be waiting for this core
  %yielded = call i32 @sched_yield()
  br label %wait
leave:
  store atomic i32 0, ptr %busy.at release, align 4
  ret void
}

; Wake whoever sleeps, if several threads are set.
define internal void @rouse(ptr %pool) nounwind {
  %cell.at = getelementptr %Pool, ptr %pool, i64 0, i32 15
  %cell = load ptr, ptr %cell.at
  %set = load atomic i64, ptr %cell monotonic, align 8
  %several = icmp ugt i64 %set, 1
  br i1 %several, label %look, label %awake
look:
  %sleepers.at = getelementptr %Pool, ptr %pool, i64 0, i32 13
  %sleepers = load atomic i32, ptr %sleepers.at seq_cst, align 4
  %asleep = icmp ne i32 %sleepers, 0
  br i1 %asleep, label %wake, label %awake
wake:
  store atomic i32 0, ptr %sleepers.at seq_cst, align 4
  %futex = getelementptr %Pool, ptr %pool, i64 0, i32 12
  %turn = atomicrmw add ptr %futex, i32 1 seq_cst
  %woken = call i64 (i64, ...) @syscall(i64 202, ptr %futex, i32 129, i32 2147483647, ptr null, ptr null, i32 0)
  br label %awake
awake:
  ret void
}

; Do chunks of the launch that is on until none is left for this thread; how many were done.
define internal i64 @take(ptr %pool, i64 %number) noinline nounwind {
  br label %look
look:
  %count = phi i64 [0, %0], [%count, %choose], [%count.next, %run]
  %state = load atomic i64, ptr %pool acquire, align 8
  %bits = and i64 %state, 4294967295
  %any = icmp ne i64 %bits, 0
  br i1 %any, label %read, label %none
read:                                             ; valid if the exchange below succeeds: then this launch is still on
  %threads.at = getelementptr %Pool, ptr %pool, i64 0, i32 6
  %threads = load atomic i64, ptr %threads.at monotonic, align 8
  %mine = icmp ult i64 %number, %threads
  br i1 %mine, label %choose, label %none
choose:
  %kernel.at = getelementptr %Pool, ptr %pool, i64 0, i32 2
  %kernel = load atomic ptr, ptr %kernel.at monotonic, align 8
  %pointers.at = getelementptr %Pool, ptr %pool, i64 0, i32 3
  %pointers = load atomic ptr, ptr %pointers.at monotonic, align 8
  %units.at = getelementptr %Pool, ptr %pool, i64 0, i32 4
  %units = load atomic i64, ptr %units.at monotonic, align 8
  %chunks.at = getelementptr %Pool, ptr %pool, i64 0, i32 5
  %chunks = load atomic i64, ptr %chunks.at monotonic, align 8
  %scratch.at = getelementptr %Pool, ptr %pool, i64 0, i32 19, i64 %number, i32 2
  %scratch = load atomic ptr, ptr %scratch.at monotonic, align 8
  %before = mul i64 %number, %chunks
  %first = udiv i64 %before, %threads
  %cleared = lshr i64 %bits, %first
  %from = shl i64 %cleared, %first
  %ahead = icmp ne i64 %from, 0
  %candidates = select i1 %ahead, i64 %from, i64 %bits
  %chunk = call i64 @llvm.cttz.i64(i64 %candidates, i1 true)
  %bit = shl i64 1, %chunk
  %without = xor i64 %state, %bit
  %exchange = cmpxchg ptr %pool, i64 %state, i64 %without acq_rel monotonic
  %got = extractvalue { i64, i1 } %exchange, 1
  br i1 %got, label %run, label %look
run:
  %lo.times = mul i64 %chunk, %units
  %lo = udiv i64 %lo.times, %chunks
  %chunk.next = add i64 %chunk, 1
  %hi.times = mul i64 %chunk.next, %units
  %hi = udiv i64 %hi.times, %chunks
  call void %kernel(ptr %pointers, ptr %scratch, i64 %lo, i64 %hi)
  %count.next = add i64 %count, 1
  %caller = icmp eq i64 %number, 0
  %one = select i1 %caller, i64 0, i64 1
  %done.at = getelementptr %Pool, ptr %pool, i64 0, i32 8
  %done = atomicrmw add ptr %done.at, i64 %one release
  br label %look
none:
  ret i64 %count
}

; A worker's life.
define internal ptr @work(ptr %self) nounwind {
  %pool = load ptr, ptr %self
  %number.at = getelementptr %Worker, ptr %self, i64 0, i32 1
  %number = load i64, ptr %number.at
  %futex = getelementptr %Pool, ptr %pool, i64 0, i32 12
  %sleepers.at = getelementptr %Pool, ptr %pool, i64 0, i32 13
  br label %begin
begin:
  %began = call i64 @clock(i1 true)
  br label %spin
spin:
  %turns = phi i64 [0, %begin], [%turns.next, %pause], [%turns.next, %look.clock]
  %done = call i64 @watch(ptr %pool, i64 %number)
  %worked = icmp ne i64 %done, 0
  br i1 %worked, label %begin, label %idle
idle:
  %turns.next = add i64 %turns, 1
  call void @llvm.x86.sse2.pause()
  %low = and i64 %turns.next, 31
  %due = icmp eq i64 %low, 0
  br i1 %due, label %look.clock, label %pause
pause:
  br label %spin
look.clock:
  %now = call i64 @clock(i1 true)
  %waited = sub i64 %now, %began
  %patient = icmp ult i64 %waited, SPIN_NS
  br i1 %patient, label %spin, label %sleep
sleep:                                            ; whoever publishes after the last look sees that somebody sleeps
  %turn = load atomic i32, ptr %futex seq_cst, align 4
  store atomic i32 1, ptr %sleepers.at seq_cst, align 4
  %late = call i64 @watch(ptr %pool, i64 %number)
  %busy = icmp ne i64 %late, 0
  br i1 %busy, label %begin, label %park
park:
  %slept = call i64 (i64, ...) @syscall(i64 202, ptr %futex, i32 128, i32 %turn, ptr null, ptr null, i32 0)
  br label %begin
}

; What `take` does; cheap while there is nothing to do.
define internal i64 @watch(ptr %pool, i64 %number) alwaysinline nounwind {
  %state = load atomic i64, ptr %pool seq_cst, align 8
  %bits = and i64 %state, 4294967295
  %any = icmp ne i64 %bits, 0
  br i1 %any, label %some, label %none
some:
  %count = call i64 @take(ptr %pool, i64 %number)
  ret i64 %count
none:
  ret i64 0
}

; Workers and their scratch for a launch on so many threads; false where there is no memory or no thread to be had.
define internal i1 @prepare(ptr %pool, i64 %threads, ptr %scratch, i64 %bytes) noinline nounwind {
  %own.at = getelementptr %Pool, ptr %pool, i64 0, i32 19, i64 0, i32 2
  store atomic ptr %scratch, ptr %own.at monotonic, align 8
  %made.at = getelementptr %Pool, ptr %pool, i64 0, i32 17
  br label %each
each:
  %i = phi i64 [1, %0], [%i.next, %next]
  %complete = icmp eq i64 %i, %threads
  br i1 %complete, label %ready, label %memory
memory:
  %worker = getelementptr %Pool, ptr %pool, i64 0, i32 19, i64 %i
  %has.at = getelementptr %Worker, ptr %worker, i64 0, i32 3
  %has = load i64, ptr %has.at
  %enough = icmp uge i64 %has, %bytes
  br i1 %enough, label %thread, label %lend
lend:                                             ; nobody is in a launch now: the old memory is free
  %lent.at = getelementptr %Worker, ptr %worker, i64 0, i32 2
  %old = load atomic ptr, ptr %lent.at monotonic, align 8
  call void @free(ptr %old)
  %padded = add i64 %bytes, 63
  %size = and i64 %padded, -64
  %lent = call ptr @aligned_alloc(i64 64, i64 %size)
  store atomic ptr %lent, ptr %lent.at monotonic, align 8
  %none = icmp eq ptr %lent, null
  %is = select i1 %none, i64 0, i64 %size
  store i64 %is, ptr %has.at
  br i1 %none, label %failed, label %thread
thread:
  %made = load i64, ptr %made.at
  %exists = icmp uge i64 %made, %i
  br i1 %exists, label %next, label %create
create:
  store ptr %pool, ptr %worker
  %number.at = getelementptr %Worker, ptr %worker, i64 0, i32 1
  store i64 %i, ptr %number.at
  %created = call i1 @create(ptr %worker)
  br i1 %created, label %created.one, label %failed
created.one:
  store i64 %i, ptr %made.at
  br label %next
next:
  %i.next = add i64 %i, 1
  br label %each
ready:
  ret i1 true
failed:
  ret i1 false
}

; A thread that takes no signals: they are for Python's.
define internal i1 @create(ptr %worker) noinline nounwind {
  %all = alloca [16 x i64]
  %before = alloca [16 x i64]
  %thread = alloca i64
  call void @llvm.memset.p0.i64(ptr %all, i8 -1, i64 128, i1 false)
  %masked = call i32 @pthread_sigmask(i32 2, ptr %all, ptr %before)
  %code = call i32 @pthread_create(ptr %thread, ptr null, ptr @work, ptr %worker)
  %unmasked = call i32 @pthread_sigmask(i32 2, ptr %before, ptr null)
  %created = icmp eq i32 %code, 0
  br i1 %created, label %detach, label %end
detach:
  %name = load i64, ptr %thread
  %detached = call i32 @pthread_detach(i64 %name)
  br label %end
end:
  ret i1 %created
}

declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
