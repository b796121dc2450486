// SPDX-License-Identifier: Apache-2.0
//
// The protocol between devices that translate and a guest that invalidates, as the code has it:
// bursts and epochs (iotlb/bursts.h), fills and their tickets (iotlb/iotlb.cpp), contexts and their
// number of changes (iotlb/context_cache.cpp, iommu/translate.cpp), pins, tickets and who resumes a
// parked queue (iotlb/flush_tracker.cpp, IommuCore::poll, a unit's run/pass).
//
// One page, one entry, two devices, and a guest that replaces what stands in its table (or, with
// -DCTX, in its context structure) once. Everything carries the number of the version it came from.
//
//   L1  nothing is copied, nor written into a table, that is older than what has been completed
//   L2  nothing older than what has been completed is left behind
//   L8  what is parked is resumed: a guest that waits for ever is an invalid end state
//
// spin runs statements one after the other, so the store buffers are part of the model. Every store
// goes through its thread's buffer and reaches memory later, in order: all stores of the protocol
// are releases. What is sequentially consistent waits until the buffer is empty; what is an acquire
// does not. (Loads are never early: all of the protocol's are acquires, or stronger.)
//
// With -DWIDE the guest flushes its domain: the generation ends (iotlb/iotlb_flush.cpp), and nobody
// looks for the entry, which keeps the number of the generation it was filled in.
//
// -DM_... seeds one bug; CMakeLists.txt says what each must run into.

#define DEVICES 2
#define THREADS 3 /* the devices, and the guest's processor */
#define GUEST 2
#define OLD 1
#define NEW 2
#ifndef BURSTS0
#define BURSTS0 1 /* of device 0 */
#define BURSTS1 1
#define PINS 0
#endif

// Words that are stored to: in memory, and on their way there.
#define SLOT(device) (device)
#define STRUCTURE 2 /* the guest's table, or its context structure: a version */
#define ENTRY 3     /* the IOTLB's entry: 0 or a version */
#define DATA 4      /* what devices write with their answers; only its arrival matters */
#define LOCK 5      /* the entry's set */
#define WORDS 6
#define DEPTH 3

byte memory[WORDS];
typedef Buffer {
  byte count;
  byte word[DEPTH];
  byte value[DEPTH];
}
Buffer buffer[THREADS];

// Words that are only ever changed by read-modify-write, or under the mutex.
byte epoch = 1;
byte sequence;   // of invalidations that overtake fills
byte generation; // of the domain's entries
byte changes = 1;
byte cached_context; // the unit's: 0 or a version
byte waiting, newest, poll_requests;
bool mutex, contexts_mutex;
typedef Ticket {
  bool open;
  byte epoch;
}
Ticket ticket;
typedef Pin {
  bool held;
  byte epoch;
}
Pin pin[DEVICES];

// The unit: its queue, and who runs it.
bool running, again, parked;
byte queued;   // commands that are still to be run
byte complete; // ghost: the version whose completion has been published

inline store(me, at, what) {
  atomic {
    buffer[me].count < DEPTH;
    buffer[me].word[buffer[me].count] = at;
    buffer[me].value[buffer[me].count] = what;
    buffer[me].count++
  }
}
inline drain(me) { buffer[me].count == 0 }
inline load(me, at, to) {
  d_step {
    to = memory[at];
    if
    :: buffer[me].count > 0 && buffer[me].word[0] == at -> to = buffer[me].value[0]
    :: else
    fi;
    if
    :: buffer[me].count > 1 && buffer[me].word[1] == at -> to = buffer[me].value[1]
    :: else
    fi;
    if
    :: buffer[me].count > 2 && buffer[me].word[2] == at -> to = buffer[me].value[2]
    :: else
    fi
  }
}

// The way of a thread's stores to memory. A device's data must not arrive late.
proctype Arrive(byte me) {
end:
  do
  :: d_step {
       buffer[me].count > 0 ->
       assert(buffer[me].word[0] != DATA || buffer[me].value[0] >= complete); /* L1 */
       memory[buffer[me].word[0]] = buffer[me].value[0];
       buffer[me].word[0] = buffer[me].word[1];
       buffer[me].value[0] = buffer[me].value[1];
       buffer[me].word[1] = buffer[me].word[2];
       buffer[me].value[1] = buffer[me].value[2];
       buffer[me].word[2] = 0;
       buffer[me].value[2] = 0;
       buffer[me].count--
     }
  od
}

// The entry's version, if it lives; and what an entry says.
#ifdef WIDE
#define LIVING(entry) (((entry) >> 2) == generation -> (entry) & 3 : 0)
#define AS_ENTRY(version, filled_in) ((version) | (filled_in) << 2)
#else
#define LIVING(entry) (entry)
#define AS_ENTRY(version, filled_in) (version)
#endif

inline lock_set(me) {
  // Sequentially consistent.
  atomic { drain(me); memory[LOCK] == 0 -> memory[LOCK] = 1 }
}

// ---- FlushTracker: under the mutex

// Whether every burst that began before `since` has ended, and then no pin of theirs is left.
inline ask_bursts(since, yes) {
  i = 0;
  yes = true;
  do
  :: i < DEVICES && yes ->
     d_step {
       seen = memory[SLOT(i)];
       yes = (seen == 0 || seen >= since);
       i++
     }
  :: else -> break
  od
}
inline ask_pins(since, yes) {
  d_step {
    yes = yes && !(pin[0].held && pin[0].epoch < since) && !(pin[1].held && pin[1].epoch < since)
  }
}
inline ask(since, yes) {
  ask_bursts(since, yes);
#ifndef M_PINS_NOT_WAITED_FOR
  ask_pins(since, yes)
#else
  skip
#endif
}

// Whether nobody is inside any more and no pin is held, whatever it covers: asked without the mutex,
// and before anybody is told to resume us.
inline ask_at_once(since, yes) {
#ifdef M_PINS_ASKED_FIRST
  none = !(pin[0].held || pin[1].held);
  ask_bursts(since, yes);
#else
  ask_bursts(since, yes);
  none = !(pin[0].held || pin[1].held);
#endif
#ifndef M_PINS_NOT_WAITED_FOR
  yes = yes && none;
#endif
  none = false
}

inline issue(me) {
  // All sequentially consistent.
#ifndef M_EPOCH_BEFORE_DROP
  atomic { drain(me); epoch++ }
#endif
  mine = epoch;
#ifdef M_COMPLETED_EARLY
  good = true;
#else
  ask_at_once(mine, good);
#endif
  if
  :: good -> parked = true // the unit's own: see pass()
  :: else ->
#ifndef M_WAITER_SHOWN_LATE
     atomic { drain(me); waiting++ }
     atomic { drain(me); newest = mine }
#endif
     atomic { !mutex -> mutex = true }
     ask(mine, good);
#ifdef M_WAITER_SHOWN_LATE
     atomic { drain(me); waiting++ }
     atomic { drain(me); newest = mine }
#endif
     atomic {
       drain(me);
       if
       :: good -> waiting--
       :: else ->
          ticket.open = true;
          ticket.epoch = mine
       fi;
       parked = true;
       mutex = false
     }
  fi;
  mine = 0; seen = 0; i = 0; good = false
}

// For a ticket that is closed the answer is yes.
inline ask_ticket(me) {
  atomic { !mutex -> mutex = true }
  good = true;
  if
  :: ticket.open ->
     ask(ticket.epoch, good);
     if
     :: good -> atomic { drain(me); ticket.open = false; ticket.epoch = 0; waiting-- }
     :: else
     fi
  :: else
  fi;
  atomic { drain(me); mutex = false }
}

// ---- UnitCore::invalidate

// Whether the set has to be taken: somebody is inside, or there is something to remove.
inline look_at_set(me) {
  // Sequentially consistent.
  atomic { drain(me); seen = memory[LOCK] }
#ifdef M_LOCK_NOT_LOOKED_AT
  seen = 0;
#endif
  good = (seen != 0);
  if
  :: good
  :: else ->
     load(me, ENTRY, seen);
     good = (seen != 0)
  fi
}

inline drop_translations(me) {
#if defined(M_LOOKED_BEFORE_OVERTAKING) && !defined(WIDE)
  look_at_set(me);
#endif
  // Overtake the fills that are under way, then remove what is there.
#ifdef M_EPOCH_BEFORE_DROP
  atomic { drain(me); epoch++ }
#endif
#ifdef M_GENERATION_BEFORE_SEQUENCE
  atomic { drain(me); generation++ }
#endif
  atomic { drain(me); sequence++ }
#ifdef WIDE
#ifndef M_GENERATION_BEFORE_SEQUENCE
  atomic { drain(me); generation++ }
#endif
#else
#ifndef M_LOOKED_BEFORE_OVERTAKING
  look_at_set(me);
#endif
  if
  :: !good // nothing is there, nor will be
  :: else ->
     lock_set(me);
     load(me, ENTRY, seen);
     if
     :: seen != 0 -> store(me, ENTRY, 0)
     :: else
     fi;
     store(me, LOCK, 0)
  fi;
  good = false
#endif
}

inline drop_contexts(me) {
  atomic { !contexts_mutex -> contexts_mutex = true }
  atomic { drain(me); changes++ }
  cached_context = 0;
#ifndef M_CONTEXTS_CHANGE_ONCE
  atomic { drain(me); changes++ }
#endif
  atomic { drain(me); contexts_mutex = false }
}

// ---- the unit's queue: one thread at a time runs it

inline pass(me) {
  do
  :: if
     :: parked ->
        ask_ticket(me);
        if
        :: good ->
           atomic {
             parked = false;
             if
             :: queued == 0 ->
                complete = NEW;
                // L2: what is on its way into the entry counts.
                load(GUEST, ENTRY, seen);
                seen = LIVING(seen);
                assert(seen == 0 || seen >= complete);
                seen = 0
             :: else
             fi
           }
        :: else -> break
        fi
     :: else
     fi;
     if
     :: queued == 0 -> break
#ifdef CTX
     // A ticket of its own would be settled with the one that follows: a guest may post the two
     // with one wait behind both.
     :: queued == 2 -> queued = 1; drop_contexts(me)
#endif
     :: queued == 1 -> queued = 0; drop_translations(me); issue(me)
     fi
  od
}

inline run_queue(me) {
  atomic {
    if
    :: running ->
#ifndef M_QUEUE_NOT_RUN_AGAIN
       again = true;
#endif
       mine = 0
    :: else -> running = true; mine = 1
    fi
  }
  if
  :: mine == 0
  :: else ->
     do
     :: pass(me);
        atomic {
          drain(me);
          if
          :: again -> again = false
          :: else -> running = false; break
          fi
        }
     od
  fi
}

inline collect(me) {
  ask_ticket(me)
}

inline poll(me) {
#ifdef M_POLL_NOT_NOTED
  atomic {
    drain(me);
    rounds = 0;
    if
    :: poll_requests == 0 -> poll_requests = 1; rounds = 1
    :: else
    fi
  }
#else
  atomic { drain(me); poll_requests++; rounds = poll_requests }
#endif
  if
  :: rounds != 1
  :: else ->
     do
     :: rounds != 0 ->
#ifdef M_COLLECTED_LATE
        run_queue(me);
        collect(me);
#else
        collect(me);
        run_queue(me);
#endif
        atomic { drain(me); poll_requests = poll_requests - rounds; rounds = poll_requests }
     :: else -> break
     od
  fi;
  rounds = 0; mine = 0; seen = 0; i = 0; good = false
}

// ---- devices

inline enter(me) {
  oldest = epoch;
#ifdef M_BURST_SHOWN_LATE
  store(me, SLOT(me), oldest); // without the barrier
#else
  atomic { drain(me); store(me, SLOT(me), oldest) }
  drain(me);
#endif
  now = epoch;
  store(me, SLOT(me), now)
}

inline leave(me) {
#ifdef M_END_OF_BURST_RELAXED
  atomic { memory[SLOT(me)] = 0 } // overtakes what the burst has stored
#else
  store(me, SLOT(me), 0);
#ifndef M_END_OF_BURST_SHOWN_LATE
  drain(me);
#endif
#endif
  // held_up_by
  if
  :: waiting != 0 && oldest < newest -> poll(me)
  :: else
  fi
}

// refresh_context: the port's own copy, the unit's, or the guest's structure.
inline refresh_context(me) {
  under = changes;
  if
  :: port_changes == under -> context = port_context
  :: else ->
     atomic {
       context = cached_context
     }
     if
     :: context != 0 -> atomic { port_changes = under; port_context = context }
     :: else ->
        load(me, STRUCTURE, context);
        atomic { !contexts_mutex -> contexts_mutex = true }
        atomic {
          drain(me);
#ifdef M_CONTEXT_KEPT_UNCHECKED
          cached_context = context; port_changes = under; port_context = context;
#else
          if
          :: changes == under ->
             cached_context = context; port_changes = under; port_context = context
          :: else
          fi;
#endif
          contexts_mutex = false
        }
     fi
  fi
}

proctype Device(byte me; byte bursts; bool may_pin) {
  byte oldest, now, version, shown, filled_in, seen, mine, i, rounds;
  bool good, none, pinned, keep;
#ifdef CTX
  byte context, under, port_changes, port_context;
#endif
  do
  :: bursts == 0 -> break
  :: else ->
     bursts--;
     enter(me);
#ifdef CTX
     keep = false;
     do
     :: refresh_context(me);
        load(me, ENTRY, version);
        version = LIVING(version);
        if
        :: version != 0 -> break
        :: else
        fi;
        shown = sequence;
#ifndef M_TICKET_AFTER_CONTEXT
        if
        :: changes == under -> keep = true; break
        :: changes != under && rounds == 0 -> rounds = 1 // once more
        :: changes != under && rounds == 1 -> break      // answers, and keeps nothing
        fi
#else
        keep = true;
        break
#endif
     od;
     rounds = 0;
#else
     load(me, ENTRY, version);
     version = LIVING(version);
     shown = sequence;
     keep = true;
#endif
     if
     :: version != 0 // a hit
     :: else ->
#ifdef M_TICKET_AFTER_WALK
        load(me, STRUCTURE, version);
        shown = sequence;
#elif defined(CTX)
        version = context;
#else
        load(me, STRUCTURE, version);
#endif
        // The accessed bit: a locked write into the table page that the version stands for.
        atomic { drain(me); assert(version >= complete) } /* L1 */
        if
        :: keep ->
#ifdef M_CHECKED_BEFORE_THE_SET
           good = (sequence == shown);
           lock_set(me);
#else
           lock_set(me);
#ifndef M_GENERATION_AFTER_CHECK
           filled_in = generation;
#endif
           good = (sequence == shown);
#endif
#ifdef M_FILL_UNCHECKED
           good = true;
#endif
           if
           :: good ->
#ifdef M_GENERATION_AFTER_CHECK
              filled_in = generation;
#endif
              store(me, ENTRY, AS_ENTRY(version, filled_in))
           :: else
           fi;
           store(me, LOCK, 0);
           filled_in = 0
        :: else
        fi
     fi;
#ifdef M_BURST_ENDS_BEFORE_COPY
     leave(me);
#endif
     // The copy.
     assert(version >= complete); /* L1 */
     store(me, DATA, version);
     pinned = false;
     if
     :: may_pin ->
        atomic { !mutex -> mutex = true }
        atomic {
          drain(me);
          pin[me].held = true;
#ifdef M_PIN_OF_THIS_MOMENT
          pin[me].epoch = epoch;
#else
          pin[me].epoch = now;
#endif
          pinned = true;
          mutex = false
        }
     :: true
     fi;
#ifndef M_BURST_ENDS_BEFORE_COPY
     leave(me);
#endif
     if
     :: pinned ->
        assert(version >= complete); /* L1 */
        store(me, DATA, version);
        atomic { !mutex -> mutex = true }
        atomic { drain(me); pin[me].held = false; pin[me].epoch = 0; mutex = false }
#ifdef M_PIN_RESUMES_NOBODY
        skip
#else
        if
        :: waiting != 0 -> poll(me)
        :: else
        fi
#endif
     :: else
     fi;
     version = 0; shown = 0; oldest = 0; now = 0; pinned = false; keep = false; good = false;
     seen = 0
  od
}

proctype Guest() {
  byte seen, mine, i;
  bool good, none;
  store(GUEST, STRUCTURE, NEW);
  atomic {
    drain(GUEST);
#ifdef CTX
    queued = 2
#else
    queued = 1
#endif
  }
  run_queue(GUEST);
  complete == NEW
}

init {
  atomic {
    memory[STRUCTURE] = OLD;
#ifdef WARM
    memory[ENTRY] = OLD;
#endif
#ifdef CTX
    if
    :: cached_context = OLD
    :: cached_context = 0
    fi;
#endif
    run Arrive(0);
    run Arrive(1);
    run Arrive(GUEST);
    run Device(0, BURSTS0, PINS);
    run Device(1, BURSTS1, false);
    run Guest()
  }
}
