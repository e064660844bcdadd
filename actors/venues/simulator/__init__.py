"""An exchange on 127.0.0.1 that unmodified ccxt takes for Binance: spot and USD-M futures in one process.

Picture: `server` routes URLs to `rest` (answers), `streams` (sockets) and `control` (/_venue/…); behind them `engine`
matches orders against the `book`s that the `player` (a recording) or the `generator` (the built-in market) moves, and
`accounts` keeps the venue's own truth on disk. It is an independent judge: it imports nothing of the trading side.
"""
