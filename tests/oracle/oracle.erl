%% The oracle: real OTP supervisors over obedient workers, and one clerk who writes down what happens, in order.
%%
%% Python sends a script as one Erlang term (length-prefixed, on stdin) and gets back, for boot, every event and the end,
%% what was answered, what happened and what which_children then says. The supervisors are Debian's own; only for
%% scripts that turn the clock, a copy whose one call of the monotonic clock reads the script's (tests/oracle/otp.py).
%%
%% Order: the emulator runs one scheduler, so the DOWN of a process reaches the clerk before anything that happens
%% because of that death. Barrier: which_children of every supervisor that lives, until two rounds see nothing new and
%% nobody restarting; a supervisor answers only when it has done what it was told before.
-module(oracle).
-export([main/0, init/1, start_worker/2, log/2, now_s/0]).

%% -- the conversation -------------------------------------------------------------------------------------------------

main() ->
    ok = logger:remove_handler(default),
    ok = logger:add_handler(oracle, ?MODULE, #{level => all}),
    process_flag(trap_exit, true),
    persistent_term:put(clock, 0),
    Port = open_port({fd, 0, 1}, [{packet, 4}, binary, eof]),
    register(clerk, spawn_link(fun() -> clerk(fresh()) end)),
    reply(Port, [$", erlang:system_info(otp_release), $"]),
    serve(Port).

serve(Port) ->
    receive
        {Port, {data, Data}} ->
            {ok, Tokens, _} = erl_scan:string(binary_to_list(Data)),
            {ok, {script, Module, Tree, AtBoot, Events}} = erl_parse:parse_term(Tokens),
            reply(Port, run(Module, Tree, AtBoot, Events)),
            serve(Port);
        {Port, eof} ->
            halt(0);
        {'EXIT', Port, _} ->
            halt(0);
        _Stray ->
            serve(Port)
    end.

reply(Port, Json) ->
    true = port_command(Port, Json).

%% -- a script ---------------------------------------------------------------------------------------------------------

run(Module, Tree, AtBoot, Events) ->
    persistent_term:put(clock, 1000),
    persistent_term:put(module, Module),
    ok = ask(fresh),
    [act(Fail) || Fail <- AtBoot],
    Begun = Module:start_link(?MODULE, Tree),
    Root = case Begun of {ok, Pid} -> Pid; {error, _} -> none end,
    put(root, Root),
    Boot = page(case Root of none -> "start_failed"; _ -> "ok" end, Root),
    Pages = [happen(Event, Root) || Event <- Events],
    End = finish(Root),
    list([Boot | Pages] ++ [End]).

happen(Event, Root) ->
    Answer = try act(Event) catch exit:{Why, {gen_server, call, _}} -> why_not(Why) end,
    page(Answer, Root).

finish(none) ->
    page("ok", none);
finish(Root) ->
    Monitor = monitor(process, Root),
    exit(Root, shutdown),
    receive {'DOWN', Monitor, process, Root, _} -> ok end,
    page("ok", none).

why_not(noproc) -> "no_supervisor";
why_not(_) -> "ended_meanwhile".

act({exit, Id, How}) ->
    case ask({expect, Id}) of
        none -> "absent";
        Pid ->
            Monitor = monitor(process, Pid),
            leave(Pid, How),
            receive {'DOWN', Monitor, process, Pid, _} -> "ok" end
    end;
act({both, Sup, {Id, How}, {Other, OtherHow}}) ->  % both are dead before their supervisor hears of either
    case [ask({pid, Name}) || Name <- [Sup, Id, Other]] of
        [SupPid, Pid, Its] when is_pid(SupPid), is_pid(Pid), is_pid(Its) ->
            true = erlang:suspend_process(SupPid),
            Answers = [act({exit, Id, How}), act({exit, Other, OtherHow})],
            true = erlang:resume_process(SupPid),
            hd(Answers);
        _ -> "absent"
    end;
act({fail, Id, Times, Mode}) ->
    ok = ask({fail, Id, Times, Mode}),
    "ok";
act({clock, Seconds}) ->
    persistent_term:put(clock, persistent_term:get(clock) + Seconds),
    "ok";
act({held, Id, Sup, How, Times, Meanwhile}) ->  % it waits in Sup's inbox while a start of Id fails
    case {ask({expect, Id}), ask({pid, Sup})} of
        {none, _} -> "absent";
        {Pid, SupPid} ->
            ok = ask({fail, Id, Times, error}),
            ok = ask({hold, Id, SupPid, self()}),
            Monitor = monitor(process, Pid),
            leave(Pid, How),
            receive {'DOWN', Monitor, process, Pid, _} -> ok end,
            case held(SupPid, none) of
                true ->
                    Answer = meanwhile(Meanwhile, SupPid, Pid),
                    ok = ask(release),
                    Answer();
                false ->
                    ok = ask(release),
                    _ = settle(get(root), none, 0),
                    act(Meanwhile)
            end
    end;
act({add, Sup, Name}) ->  % a name is ours: simple_one_for_one would start a second one
    case ask({pid, Name}) of
        none -> code(call(Sup, {start_child, [Name]}));
        _ -> "already_started"
    end;
act({remove, Sup, Name}) ->
    case ask({pid, Name}) of
        none -> _ = call(Sup, which_children), "not_found";
        Pid -> code(call(Sup, {terminate_child, Pid}))
    end;
act({_, Sup, _} = Request) -> code(call(Sup, request(Request))).

request({terminate, _Sup, Id}) -> {terminate_child, Id};
request({restart, _Sup, Id}) -> {restart_child, Id};
request({delete, _Sup, Id}) -> {delete_child, Id};
request({start, _Sup, Spec}) -> {start_child, child(Spec)}.

%% A sibling ends, or a request is sent; returned is how to get the answer once the start is over.
meanwhile({exit, _, _} = Exit, _Sup, _Dead) ->
    Answer = act(Exit),
    fun() -> Answer end;
meanwhile({remove, _, _}, Sup, Dead) ->
    Asked = gen_server:send_request(Sup, {terminate_child, Dead}),
    fun() -> answered(Asked) end;
meanwhile(Request, Sup, _Dead) ->
    Asked = gen_server:send_request(Sup, request(Request)),
    fun() -> answered(Asked) end.

leave(Pid, kill) -> exit(Pid, kill);
leave(Pid, detail) -> Pid ! {leave, {shutdown, detail}};
leave(Pid, How) -> Pid ! {leave, How}.

%% Whether the clerk holds that start now; false once the supervisor is at rest, or gone, without it.
held(Sup, Before) ->
    held(Sup, Before, gen_server:send_request(Sup, which_children)).

held(Sup, Before, Asked) ->
    receive
        {held, _} -> true;
        Message ->
            case gen_server:check_response(Message, Asked) of
                no_reply -> held(Sup, Before, Asked);
                {error, _} -> false;
                {reply, Children} ->
                    Seen = {ask(written), Children},
                    Restless = lists:any(fun({_, P, _, _}) -> P =:= restarting end, Children),
                    case Seen of
                        Before when not Restless -> false;
                        _ -> held(Sup, Seen)
                    end
            end
    end.

answered(Asked) ->
    case gen_server:receive_response(Asked, 5000) of
        {reply, Answer} -> code(Answer);
        {error, _} -> "ended_meanwhile"
    end.

call(Sup, Request) ->
    case ask({pid, Sup}) of
        none -> exit({noproc, {gen_server, call, [Sup]}});
        Pid -> gen_server:call(Pid, Request, 5000)
    end.

code(ok) -> "ok";
code({ok, _}) -> "ok";
code({error, {already_started, _}}) -> "already_started";
code({error, {bad_combination, _}}) -> "invalid_spec";
code({error, Word}) when is_atom(Word), Word =/= refused -> atom_to_list(Word);
code({error, _}) -> "start_failed".

%% -- the barrier, and what is seen then -------------------------------------------------------------------------------

page(Answer, Root) ->
    States = settle(Root, none, 0),
    Entries = ask(take),
    list([string(Answer), list([string(E) || E <- Entries]), list([string(S) || S <- States])]).

settle(Root, Before, Rounds) when Rounds < 1000 ->
    States = case Root of none -> []; _ -> look(Root) end,
    Seen = {ask(written), States},
    Restless = lists:any(fun(S) -> lists:suffix(":restarting", S) end, States),
    case Seen of
        Before when not Restless -> States;
        _ -> settle(Root, Seen, Rounds + 1)
    end.

look(Pid) ->
    try gen_server:call(Pid, which_children, 5000) of
        Children -> lists:append([see(C) || C <- order(Children)])
    catch exit:_ -> []
    end.

order([{undefined, _, _, _} | _] = Dynamic) ->
    lists:sort([{ask({name, Pid}), Pid, Type, M} || {_, Pid, Type, M} <- Dynamic]);
order(Static) -> lists:reverse(Static).

see({Id, undefined, _, _}) -> [word(Id, "down")];
see({Id, restarting, _, _}) -> [word(Id, "restarting")];
see({Id, Pid, worker, _}) -> [word(Id, case is_process_alive(Pid) of true -> "up"; false -> "restarting" end)];
see({Id, Pid, supervisor, _}) -> [word(Id, "up") | look(Pid)].

word(Id, State) -> atom_to_list(Id) ++ ":" ++ State.

%% -- supervisors and workers ------------------------------------------------------------------------------------------

init({Id, Flags, Children}) ->
    ok = ask({up, Id, self()}),
    {ok, {Flags, [child(C) || C <- Children]}}.

child({Id, worker, Spec, Leaves}) ->
    Spec#{id => Id, start => {?MODULE, start_worker, [Leaves, Id]}};
child({template, Spec, Leaves}) ->  % start_child appends the name
    Spec#{id => template, start => {?MODULE, start_worker, [Leaves]}};
child({Id, supervisor, Spec, Flags, Children}) ->
    Module = persistent_term:get(module),
    Spec#{id => Id, type => supervisor, start => {Module, start_link, [?MODULE, {Id, Flags, Children}]}}.

start_worker(Leaves, Id) ->
    case ask({starting, Id}) of
        go ->
            Pid = spawn_link(fun() -> work(Leaves) end),
            ok = ask({born, Id, Pid}),
            {ok, Pid};
        error -> {error, refused};
        throw -> throw(refused);
        exit -> exit(refused);
        garbage -> {garbage, refused};
        stillborn -> Pid = spawn_link(fun() -> exit(refused) end), {error, {refused, Pid}}
    end.

%% How a worker leaves when it is told to: as asked (it does not trap exits), or as it pleases.
work(shutdown) -> receive {leave, Reason} -> exit(Reason) end;
work(Leaves) ->
    process_flag(trap_exit, true),
    work_on(Leaves).

work_on(Leaves) ->
    receive
        {leave, Reason} -> exit(Reason);
        {'EXIT', _, _} when Leaves =:= never -> work_on(Leaves);
        {'EXIT', _, _} -> exit(Leaves)
    end.

%% Supervisors report here, in their own process, before they act on it.
log(#{msg := {report, #{label := {supervisor, shutdown}, report := Report}}}, _Config) ->
    case proplists:get_value(reason, Report) of
        reached_max_restart_intensity -> ok = ask({gave_up, self()});
        _ -> ok
    end;
log(_Event, _Config) -> ok.

now_s() -> persistent_term:get(clock).

%% -- the clerk --------------------------------------------------------------------------------------------------------

fresh() -> #{entries => [], written => 0, pids => #{}, names => #{}, expected => #{}, fails => #{}, held => none}.

ask(Question) ->
    Monitor = monitor(process, clerk),
    clerk ! {self(), Monitor, Question},
    receive
        {Monitor, Answer} -> demonitor(Monitor, [flush]), Answer;
        {'DOWN', Monitor, _, _, Why} -> exit({clerk, Why})
    end.

clerk(S) ->
    receive
        {'DOWN', _, process, Pid, Reason} -> clerk(died(Pid, Reason, S));
        {From, Tag, {starting, Id}} ->
            case S of
                #{held := {Id, From, Runner}} ->
                    Runner ! {held, Id},
                    clerk(S#{held := {holding, Id, From, Tag}});
                _ ->
                    clerk(starting(Id, From, Tag, S))
            end;
        {From, Tag, release} ->
            From ! {Tag, ok},
            case S of
                #{held := {holding, Id, Sup, Its}} -> clerk(starting(Id, Sup, Its, S#{held := none}));
                _ -> clerk(S#{held := none})
            end;
        {From, Tag, Question} ->
            {Answer, S1} = answer(Question, S),
            From ! {Tag, Answer},
            clerk(S1)
    end.

answer(fresh, _) -> {ok, fresh()};
answer({up, Id, Pid}, S) -> {ok, known(Id, Pid, supervisor, write("up", Id, S))};
answer({born, Id, Pid}, S) -> {ok, known(Id, Pid, worker, S)};
answer({gave_up, Pid}, #{pids := Pids} = S) ->
    {Id, supervisor} = map_get(Pid, Pids),
    {ok, write("gave_up", Id, S)};
answer({expect, Id}, #{names := Names, expected := Expected} = S) ->
    case Names of
        #{Id := Pid} -> {Pid, S#{expected := Expected#{Pid => true}}};
        _ -> {none, S}
    end;
answer({pid, Id}, #{names := Names} = S) -> {maps:get(Id, Names, none), S};
answer({name, Pid}, #{pids := Pids} = S) ->
    case Pids of
        #{Pid := {Id, _}} -> {Id, S};
        _ -> {'?', S}
    end;
answer({fail, Id, Times, Mode}, #{fails := Fails} = S) -> {ok, S#{fails := Fails#{Id => {Times, Mode}}}};
answer({hold, Id, Sup, Runner}, S) -> {ok, S#{held := {Id, Sup, Runner}}};
answer(written, #{written := N} = S) -> {N, S};
answer(take, #{entries := Entries} = S) -> {lists:reverse(Entries), S#{entries := []}}.

starting(Id, From, Tag, #{fails := Fails} = S) ->
    {Answer, S1} = case Fails of
        #{Id := {N, Mode}} when N > 0 -> {Mode, write("fail", Id, S#{fails := Fails#{Id => {N - 1, Mode}}})};
        _ -> {go, write("start", Id, S)}
    end,
    From ! {Tag, Answer},
    S1.

known(Id, Pid, Kind, #{pids := Pids, names := Names} = S) ->
    _ = monitor(process, Pid),
    S#{pids := Pids#{Pid => {Id, Kind}}, names := Names#{Id => Pid}}.

died(Pid, Reason, #{pids := Pids, names := Names, expected := Expected} = S) ->
    case Pids of
        #{Pid := {Id, Kind}} ->
            S1 = S#{pids := maps:remove(Pid, Pids), names := maps:remove(Id, Names)},  % a name has one life at a time
            case {Kind, Reason} of
                {worker, _} when is_map_key(Pid, Expected) -> S1#{expected := maps:remove(Pid, Expected)};
                {worker, killed} -> write("kill", Id, S1);
                {worker, _} -> write("stop", Id, S1);
                {supervisor, {shutdown, {failed_to_start_child, _, _}}} when Id =/= root -> write("failed", Id, S1);
                {supervisor, shutdown} -> write("down", Id, S1);
                {supervisor, _} when Id =:= root -> write("down", Id, S1)
            end;
        _ -> S  % of an earlier script
    end.

write(Word, Id, #{entries := Entries, written := N} = S) ->
    S#{entries := [Word ++ " " ++ atom_to_list(Id) | Entries], written := N + 1}.

%% -- JSON, as much as is needed: lists and words that need no escapes ---------------------------------------------------

list(Items) -> [$[, lists:join($,, Items), $]].
string(Word) -> [$", Word, $"].
