"""Compiles the callbacks of Channel Access: ``python -m nualley.pv.adapters.ca_machine_code``, a process of its own.

A process, because LLVM takes 40 MB that it never gives back, and is needed once. What comes out needs no linker: each
callback is one piece of code that can lie anywhere, and calls what it needs at the addresses of the process that asked.
"""

import argparse
import json
import sys

import llvmlite.binding as llvm

_CODE = r"""
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)

; the word of the control block with a number
define internal ptr @word(ptr %control, i64 %number) alwaysinline {{
  %at = getelementptr i64, ptr %control, i64 %number
  ret ptr %at
}}

; the next free slot, null where there is none
define internal ptr @claim(ptr %control) alwaysinline {{
  %head = load i64, ptr %control
  %tail_at = call ptr @word(ptr %control, i64 1)
  %tail = load atomic i64, ptr %tail_at acquire, align 8
  %n_at = call ptr @word(ptr %control, i64 2)
  %n = load i64, ptr %n_at
  %used = sub i64 %head, %tail
  %is_full = icmp uge i64 %used, %n
  br i1 %is_full, label %full, label %free
full:
  call void @drop(ptr %control)
  ret ptr null
free:
  %mask = sub i64 %n, 1
  %place = and i64 %head, %mask
  %offset = mul i64 %place, 64
  %slots_at = call ptr @word(ptr %control, i64 3)
  %slots = load ptr, ptr %slots_at
  %slot = getelementptr i8, ptr %slots, i64 %offset
  ret ptr %slot
}}

define internal void @drop(ptr %control) alwaysinline {{
  %at = call ptr @word(ptr %control, i64 4)
  %n = load i64, ptr %at
  %more = add i64 %n, 1
  store atomic i64 %more, ptr %at release, align 8
  ret void
}}

define internal void @publish(ptr %control) alwaysinline {{
  %head = load i64, ptr %control
  %next = add i64 %head, 1
  store atomic i64 %next, ptr %control release, align 8
  ret void
}}

define internal i64 @now_ns() alwaysinline {{
  %time = alloca [2 x i64]
  %ignored = call i32 inttoptr (i64 {clock_gettime} to ptr)(i32 0, ptr %time)
  %seconds = load i64, ptr %time
  %rest_at = getelementptr i64, ptr %time, i64 1
  %rest = load i64, ptr %rest_at
  %whole = mul i64 %seconds, 1000000000
  %sum = add i64 %whole, %rest
  ret i64 %sum
}}

; where a payload goes in the arena, as a position that only grows; -1 where there is no room
define internal i64 @room(ptr %control, i64 %size_B) alwaysinline {{
  %head_at = call ptr @word(ptr %control, i64 5)
  %tail_at = call ptr @word(ptr %control, i64 6)
  %room_at = call ptr @word(ptr %control, i64 7)
  %head = load i64, ptr %head_at
  %tail = load atomic i64, ptr %tail_at acquire, align 8
  %arena_B = load i64, ptr %room_at
  %mask = sub i64 %arena_B, 1
  %place = and i64 %head, %mask
  %rest = sub i64 %arena_B, %place
  %is_split = icmp ugt i64 %size_B, %rest
  %skip = select i1 %is_split, i64 %rest, i64 0
  %start = add i64 %head, %skip
  %raw_stop = add i64 %start, %size_B
  %padded = add i64 %raw_stop, 7
  %stop = and i64 %padded, -8
  %used = sub i64 %stop, %tail
  %is_full = icmp ugt i64 %used, %arena_B
  br i1 %is_full, label %full, label %free
full:
  ret i64 -1
free:
  store i64 %stop, ptr %head_at
  ret i64 %start
}}

define internal i64 @size_B(ptr %control, i64 %type, i64 %count) alwaysinline {{
  %sizes_at = call ptr @word(ptr %control, i64 9)
  %sizes = load ptr, ptr %sizes_at
  %first_at = getelementptr i16, ptr %sizes, i64 %type
  %first16 = load i16, ptr %first_at
  %first = zext i16 %first16 to i64
  %items_at = call ptr @word(ptr %control, i64 10)
  %items = load ptr, ptr %items_at
  %item_at = getelementptr i16, ptr %items, i64 %type
  %item16 = load i16, ptr %item_at
  %item = zext i16 %item16 to i64
  %others = sub i64 %count, 1
  %more = mul i64 %others, %item
  %sum = add i64 %first, %more
  %has_many = icmp sgt i64 %count, 1
  %size = select i1 %has_many, i64 %sum, i64 %first
  ret i64 %size
}}

; struct event_handler_args {{ void *usr; chanId chid; long type; long count; const void *dbr; int status; }}
define void @on_event({event_arguments}) nounwind section ".text.on_event" {{
  %user = load ptr, ptr %args
  %type_at = getelementptr i64, ptr %args, i64 2
  %type = load i64, ptr %type_at
  %count_at = getelementptr i64, ptr %args, i64 3
  %count = load i64, ptr %count_at
  %value_at = getelementptr i64, ptr %args, i64 4
  %value = load ptr, ptr %value_at
  %status_at = getelementptr i64, ptr %args, i64 5
  %status = load i32, ptr %status_at
  %control = load ptr, ptr %user
  %who_at = getelementptr i64, ptr %user, i64 1
  %who = load i64, ptr %who_at
  %slot = call ptr @claim(ptr %control)
  %is_full = icmp eq ptr %slot, null
  br i1 %is_full, label %end, label %fill
fill:
  store i64 %who, ptr %slot
  %slot_type_at = getelementptr i16, ptr %slot, i64 3
  %type16 = trunc i64 %type to i16
  store i16 %type16, ptr %slot_type_at
  %slot_count_at = getelementptr i64, ptr %slot, i64 1
  store i64 %count, ptr %slot_count_at
  %received_at = getelementptr i64, ptr %slot, i64 2
  %now = call i64 @now_ns()
  store i64 %now, ptr %received_at
  %payload_at = getelementptr i64, ptr %slot, i64 6
  store i64 -1, ptr %payload_at
  %payload_B_at = getelementptr i32, ptr %slot, i64 14
  store i32 0, ptr %payload_B_at
  %slot_status_at = getelementptr i32, ptr %slot, i64 15
  store i32 %status, ptr %slot_status_at
  %is_empty = icmp eq ptr %value, null
  br i1 %is_empty, label %done, label %head
head:
  ; every DBR_TIME value has 16 bytes; only that of a double goes on to 24
  %head_at = getelementptr i8, ptr %slot, i64 24
  call void @llvm.memcpy.p0.p0.i64(ptr %head_at, ptr %value, i64 16, i1 false)
  %is_double = icmp eq i64 %type, 20
  br i1 %is_double, label %double, label %rest
double:
  %second_at = getelementptr i8, ptr %head_at, i64 16
  %second = getelementptr i8, ptr %value, i64 16
  call void @llvm.memcpy.p0.p0.i64(ptr %second_at, ptr %second, i64 8, i1 false)
  br label %rest
rest:
  %is_scalar = icmp eq i64 %count, 1
  %is_text = icmp eq i64 %type, 14
  %is_metadata = icmp ugt i64 %type, 20
  %is_long = or i1 %is_text, %is_metadata
  %is_short = xor i1 %is_long, true
  %fits = and i1 %is_scalar, %is_short
  br i1 %fits, label %done, label %copy
copy:
  %size_B = call i64 @size_B(ptr %control, i64 %type, i64 %count)
  %position = call i64 @room(ptr %control, i64 %size_B)
  %no_room = icmp eq i64 %position, -1
  br i1 %no_room, label %lose, label %store
lose:
  call void @drop(ptr %control)
  br label %end
store:
  store i64 %position, ptr %payload_at
  %size32 = trunc i64 %size_B to i32
  store i32 %size32, ptr %payload_B_at
  %arena_B_at = call ptr @word(ptr %control, i64 7)
  %arena_B = load i64, ptr %arena_B_at
  %mask = sub i64 %arena_B, 1
  %place = and i64 %position, %mask
  %arena_at = call ptr @word(ptr %control, i64 8)
  %arena = load ptr, ptr %arena_at
  %to = getelementptr i8, ptr %arena, i64 %place
  %copied = call ptr inttoptr (i64 {memcpy} to ptr)(ptr %to, ptr %value, i64 %size_B)
  br label %done
done:
  call void @publish(ptr %control)
  br label %end
end:
  ret void
}}

; struct connection_handler_args {{ chanId chid; long op; }}: two registers
define void @on_connection(ptr %channel, i64 %operation) nounwind section ".text.on_connection" {{
  %user = call ptr inttoptr (i64 {ca_puser} to ptr)(ptr %channel)
  %control = load ptr, ptr %user
  %who_at = getelementptr i64, ptr %user, i64 1
  %who = load i64, ptr %who_at
  %slot = call ptr @claim(ptr %control)
  %is_full = icmp eq ptr %slot, null
  br i1 %is_full, label %end, label %fill
fill:
  %index = and i64 %who, 4294967295
  %is_up = icmp eq i64 %operation, 6
  %kind = select i1 %is_up, i64 4294967296, i64 8589934592
  %first = or i64 %index, %kind
  store i64 %first, ptr %slot
  %count_at = getelementptr i64, ptr %slot, i64 1
  store i64 0, ptr %count_at
  %received_at = getelementptr i64, ptr %slot, i64 2
  %now = call i64 @now_ns()
  store i64 %now, ptr %received_at
  %payload_at = getelementptr i64, ptr %slot, i64 6
  store i64 -1, ptr %payload_at
  %last_at = getelementptr i64, ptr %slot, i64 7
  store i64 0, ptr %last_at
  call void @publish(ptr %control)
  br label %end
end:
  ret void
}}
"""


def machine_code(event_arguments: str, clock_gettime: int, ca_puser: int, memcpy: int) -> dict[str, bytes]:
    """Return the callbacks as code of this machine, by name.

    Parameters
    ----------
    event_arguments : str
        How ``struct event_handler_args`` is passed here, in LLVM's language.
    clock_gettime, ca_puser, memcpy : int
        Addresses of these functions in the process that is to run the code.

    Raises
    ------
    RuntimeError
        Where a callback would need a linker.
    """
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    text = _CODE.format(event_arguments=event_arguments, clock_gettime=clock_gettime, ca_puser=ca_puser, memcpy=memcpy)
    module = llvm.parse_assembly(text)
    module.verify()
    target = llvm.Target.from_default_triple().create_target_machine(opt=2, reloc="pic")
    passes = llvm.create_pass_builder(target, llvm.create_pipeline_tuning_options(speed_level=2))
    passes.getModulePassManager().run(module, passes)
    sections = {
        (section.name() or b"").decode(): section.data()
        for section in llvm.ObjectFileRef.from_data(target.emit_object(module)).sections()
    }
    unlinked = [name for name in sections if name.startswith((".rela.text.", ".rel.text."))]
    if unlinked:
        raise RuntimeError(f"callbacks that need a linker: {', '.join(unlinked)}")
    return {name: sections[f".text.{name}"] for name in ("on_event", "on_connection")}


def main() -> int:
    """Print the code of each callback, in hexadecimal digits, as JSON."""
    parser = argparse.ArgumentParser(description="compile the callbacks of Channel Access")
    parser.add_argument("event_arguments")
    for name in ("clock_gettime", "ca_puser", "memcpy"):
        parser.add_argument(name, type=int)
    code = machine_code(**vars(parser.parse_args()))
    json.dump({name: part.hex() for name, part in code.items()}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
