"""Small drawings that tell states by shape, in dark grey; only alarm marks have colour."""

from typing import Final

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QPainter, QPen, QPolygonF

from console.tokens import ALARM, ALARM_INK, DARK, INK, LINE, PANEL
from parking.desk import ExitKind, Position

_OUTLINE: Final = 1.5


def paint_exit(painter: QPainter, box: QRectF, kind: ExitKind, position: Position, *, fresh: bool) -> None:
    """A gate arm (down, up, between) or a lock plate (up, flat, between); hatched with a question mark if not known."""
    side = min(box.width() / 1.4, box.height())
    area = QRectF(0, 0, side * 1.4, side)
    area.moveCenter(box.center())
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    if not fresh or position is Position.UNKNOWN:
        _unknown(painter, area)
    elif kind is ExitKind.GATE:
        _gate(painter, area, position)
    else:
        _plate(painter, area, position)
    painter.restore()


def _pen(width: float, colour: str = DARK) -> QPen:
    return QPen(QColor(colour), width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.FlatCap, Qt.PenJoinStyle.MiterJoin)


def _at(area: QRectF, x: float, y: float) -> QPointF:
    return QPointF(area.left() + x * area.width(), area.top() + y * area.height())


def _ground(painter: QPainter, area: QRectF) -> None:
    painter.setPen(_pen(max(area.height() / 26, 1.2)))
    painter.drawLine(_at(area, 0, 0.96), _at(area, 1, 0.96))


def _gate(painter: QPainter, area: QRectF, position: Position) -> None:
    _ground(painter, area)
    post = QRectF(_at(area, 0.04, 0.36), _at(area, 0.18, 0.96))
    painter.fillRect(post, QColor(DARK))
    ends = {Position.CLOSED: (0.98, 0.48), Position.OPEN: (0.3, -0.02), Position.MOVING: (0.78, 0.14)}
    x, y = ends[position]
    pen = _pen(area.height() / 9)
    if position is Position.MOVING:
        pen.setStyle(Qt.PenStyle.DotLine)
    painter.setPen(pen)
    painter.drawLine(_at(area, 0.11, 0.48), _at(area, x, y))


def _plate(painter: QPainter, area: QRectF, position: Position) -> None:
    _ground(painter, area)
    tips = {Position.CLOSED: 0.34, Position.OPEN: 0.84, Position.MOVING: 0.6}
    tip = tips[position]
    flap = QPolygonF([_at(area, 0.14, 0.94), _at(area, 0.62, tip), _at(area, 0.86, tip), _at(area, 0.86, 0.94)])
    if position is Position.OPEN:
        flap = QPolygonF([_at(area, 0.1, 0.94), _at(area, 0.1, 0.83), _at(area, 0.9, 0.83), _at(area, 0.9, 0.94)])
    pen = _pen(max(area.height() / 26, 1.2))
    if position is Position.MOVING:
        pen.setStyle(Qt.PenStyle.DotLine)
    painter.setPen(pen)
    painter.setBrush(QBrush(QColor(DARK)) if position is not Position.MOVING else Qt.BrushStyle.NoBrush)
    painter.drawPolygon(flap)


def _unknown(painter: QPainter, area: QRectF) -> None:
    painter.fillRect(area, QColor(PANEL))
    paint_hatch(painter, area)
    painter.setPen(QPen(QColor(DARK), 1.2, Qt.PenStyle.DashLine))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawRect(area.adjusted(0.5, 0.5, -0.5, -0.5))
    font = painter.font()
    font.setPixelSize(max(int(area.height() * 0.72), 9))
    font.setBold(True)
    painter.setFont(font)
    painter.setPen(QColor(INK))
    painter.drawText(area, Qt.AlignmentFlag.AlignCenter, "?")


def paint_hatch(painter: QPainter, area: QRectF) -> None:
    """The sign of what is stale or not known: diagonal lines."""
    painter.fillRect(area, QBrush(QColor(LINE), Qt.BrushStyle.BDiagPattern))


def paint_vehicle(painter: QPainter, box: QRectF, vehicle: bool | None) -> None:
    """A car's side: filled if present, an outline if not, hatched if not known."""
    side = min(box.width() / 2.1, box.height())
    area = QRectF(0, 0, side * 2.1, side)
    area.moveCenter(box.center())
    body = QPolygonF(
        [_at(area, x, y) for x, y in ((0.02, 0.75), (0.02, 0.45), (0.2, 0.42), (0.34, 0.12), (0.7, 0.12))]
        + [_at(area, x, y) for x, y in ((0.84, 0.42), (0.98, 0.48), (0.98, 0.75))]
    )
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    fill = {True: QBrush(QColor(DARK)), False: QBrush(Qt.BrushStyle.NoBrush)}
    unknown = QBrush(QColor(LINE), Qt.BrushStyle.BDiagPattern)
    painter.setBrush(unknown if vehicle is None else fill[vehicle])
    pen = _pen(1.2)
    if vehicle is None:
        pen.setStyle(Qt.PenStyle.DashLine)
    painter.setPen(pen)
    painter.drawPolygon(body)
    if vehicle is not None:
        painter.setBrush(QColor(DARK if vehicle else PANEL))
        for x in (0.24, 0.76):
            painter.drawEllipse(_at(area, x, 0.76), area.height() * 0.17, area.height() * 0.17)
    painter.restore()


def paint_alarm(painter: QPainter, box: QRectF, priority: int) -> None:
    """Square 1, triangle up 2, triangle down 3, circle 4: colour, shape, outline and digit together."""
    side = min(box.width(), box.height())
    area = QRectF(0, 0, side, side)
    area.moveCenter(box.center())
    area.adjust(1, 1, -1, -1)
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(_pen(_OUTLINE, INK))
    painter.setBrush(QColor(ALARM[priority]))
    digit = QRectF(area)
    match priority:
        case 1:
            painter.drawRect(area)
        case 2:
            painter.drawPolygon(QPolygonF([_at(area, 0.5, 0), _at(area, 1, 1), _at(area, 0, 1)]))
            digit.translate(0, area.height() * 0.16)
        case 3:
            painter.drawPolygon(QPolygonF([_at(area, 0, 0), _at(area, 1, 0), _at(area, 0.5, 1)]))
            digit.translate(0, -area.height() * 0.16)
        case _:
            painter.drawEllipse(area)
    font = painter.font()
    font.setPixelSize(max(int(side * (0.5 if priority in (2, 3) else 0.62)), 8))
    font.setBold(True)
    painter.setFont(font)
    painter.setPen(QColor(ALARM_INK[priority]))
    painter.drawText(digit, Qt.AlignmentFlag.AlignCenter, str(priority))
    painter.restore()


def paint_link(painter: QPainter, box: QRectF, up: bool | None) -> None:
    """A connection: a dark dot if it stands, the alarm triangle if it is down, a hatched ring if nobody knows."""
    if up is False:
        paint_alarm(painter, box, 2)
        return
    side = min(box.width(), box.height()) - 5
    area = QRectF(0, 0, side, side)
    area.moveCenter(box.center())
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(_pen(1.4))
    painter.setBrush(QColor(DARK) if up else QBrush(QColor(DARK), Qt.BrushStyle.BDiagPattern))
    painter.drawEllipse(area)
    painter.restore()
