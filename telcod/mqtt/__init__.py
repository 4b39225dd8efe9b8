"""MQTT: one connection to a broker, requests answered over it, events and pushes told (MQTT-1…3).

`wire` is the library with what it lacks; `client` keeps a connection for ever; `requests` answers,
by the operations that the composition root names; `events` tells what is in the outbox; `errors`
puts what goes wrong with a broker into a sentence.
"""
